"""The base of every likelihood, and their registry.

A likelihood states as data what it is: its ``link``, the ``target_domain`` and the ``parameter_shape``. From
these come the width of the head, the checks, the table in the documentation and the test suite that every
entry of `REGISTRY` goes through.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from likelihead.core.domains import Domain
from likelihead.core.links import Link
from likelihead.core.reduction import Normalizer, Reduction, check_reduction, reduce
from likelihead.errors import DTypeError, OptionError, ShapeError

__all__ = ["REGISTRY", "Likelihood", "Targets", "batches_of", "register"]

Targets: TypeAlias = Tensor | Iterable[Tensor]
"""Targets as one tensor, or as a stream of batches."""

REGISTRY: dict[str, type[Likelihood]] = {}
"""Every likelihood by its name."""


def batches_of(targets: Targets) -> Iterator[Tensor]:
    """Targets as a stream of batches.

    Raises:
        DTypeError: something that is no tensor, such as the pairs that a data loader yields.
    """
    for batch in [targets] if isinstance(targets, Tensor) else targets:
        if not isinstance(batch, Tensor):
            raise DTypeError(
                f"targets holds a {type(batch).__name__}; expected a torch.Tensor, or an iterable of them. "
                "Of a data loader's pairs take the targets: (y for x, y in loader)."
            )
        yield batch.detach()


_L = TypeVar("_L", bound="Likelihood")


def register(cls: type[_L]) -> type[_L]:
    """Enter a likelihood into `REGISTRY`, under its ``name``."""
    REGISTRY[cls.name] = cls
    return cls


class Likelihood(nn.Module, ABC):
    """An output distribution, and all that follows from it.

    ``forward`` is the training criterion: `nll` for each example, reduced. Everything else describes the same
    distribution, so that the loss, the prediction and the report cannot disagree.

    Attributes:
        name: the key in `REGISTRY`.
        task: the name of the task, as `for_task` takes it.
        link: what stands between the head's output and the mean.
        target_domain: what one target may be.
        parameter_shape: what the head puts out for each example; a string names an attribute.
        reduction: ``"none"``, ``"sum"`` or ``"mean"``. The mean over no target at all, over class weights
            that sum to 0, or by a normalizer of 0 is 0, connected to the graph.
        summary: what `from_targets` saw, for `baseline_nll` and `init_bias_`; None otherwise.
    """

    name: ClassVar[str]
    task: ClassVar[str]
    link: Link
    target_domain: Domain
    parameter_shape: tuple[str | int, ...]
    summary: Tensor | None

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction: Reduction = reduction
        self.summary = None  # no buffer: float64 counts must not follow the module into half precision

    @classmethod
    @abstractmethod
    def from_targets(cls, targets: Targets, **options: Any) -> Likelihood:
        """The likelihood that fits these targets, with what they say about classes and prior kept.

        Args:
            targets: training targets: a tensor, or a stream of batches, read once.
            options: the constructor's other options.
        """

    # -- what it is -------------------------------------------------------------------------------

    @abstractmethod
    def distribution(self, logits: Tensor) -> Distribution:
        """The distribution of the target, as a ``torch.distributions`` object."""

    def probs(self, logits: Tensor) -> Tensor:
        """The probability of each outcome, in float32 at least.

        Raises:
            OptionError: the outcomes are not countable.
        """
        raise OptionError(
            f"{type(self).__name__} has densities, not probabilities; use distribution(logits)."
        )

    def log_probs(self, logits: Tensor) -> Tensor:
        """The log-probability of each outcome, in float32 at least.

        Raises:
            OptionError: the outcomes are not countable.
        """
        raise OptionError(
            f"{type(self).__name__} has densities, not probabilities; use "
            "distribution(logits).log_prob(target)."
        )

    @abstractmethod
    def predict(
        self, logits: Tensor, *, threshold: float | Tensor | None = None, cost: Tensor | None = None
    ) -> Tensor:
        """The prediction: the mode, or what a threshold or a cost matrix decides."""

    @abstractmethod
    def entropy(self, logits: Tensor) -> Tensor:
        """The entropy of the distribution, in nats, in the shape of `nll`."""

    @abstractmethod
    def kl(self, logits_p: Tensor, logits_q: Tensor) -> Tensor:
        r"""The divergence of p from q, :math:`\mathrm{KL}(p \,\|\, q)`, in nats, in the shape of `nll`."""

    # -- how well it fits -------------------------------------------------------------------------

    @abstractmethod
    def nll(self, logits: Tensor, target: Tensor) -> Tensor:
        """The negative log-likelihood of each target, in nats, with every option applied."""

    @abstractmethod
    def count(self, target: Tensor) -> Tensor | int:
        """What the mean divides by."""

    @abstractmethod
    def residual(self, logits: Tensor, target: Tensor) -> Tensor:
        """The gradient of ``nll(logits, target).sum()`` with respect to the logits, from its closed form."""

    def forward(self, logits: Tensor, target: Tensor, *, normalizer: Normalizer | None = None) -> Tensor:
        """`nll`, reduced.

        Args:
            logits: what the head puts out.
            target: what was observed.
            normalizer: a number or 0-d tensor that replaces `count` under ``reduction="mean"``, so that
                micro-batches, ranks and gradient accumulation divide by the same total.
        """
        return self._reduce(self.nll(logits, target), self.count(target), normalizer)

    def _reduce(self, nll: Tensor, count: Tensor | int, normalizer: Normalizer | None) -> Tensor:
        if isinstance(count, Tensor) and count.is_floating_point():
            count = count.to(nll.dtype)  # weights in float64 leave a float32 loss as it is
        return reduce(nll, self.reduction, count=count, normalizer=normalizer, empty="zero")

    # -- the best constant prediction -------------------------------------------------------------

    @abstractmethod
    def _summarise(self, targets: Tensor) -> Tensor:
        """What the best constant prediction depends on, in float64."""

    def _merge(self, first: Tensor, second: Tensor) -> Tensor:
        """The summary of two batches from theirs."""
        return first + second

    @abstractmethod
    def _baseline(self, summary: Tensor) -> Tensor:
        """The mean NLL of the best constant prediction."""

    @abstractmethod
    def _best_bias(self, summary: Tensor, smoothing: float) -> Tensor:
        """The head's output that makes the best constant prediction, flat."""

    def summarise(self, targets: Targets | None = None) -> Tensor:
        """What the best constant prediction depends on: counts, or count, mean and spread.

        Args:
            targets: a tensor or a stream of batches; without them, those that `from_targets` saw.

        Raises:
            OptionError: there are no targets.
            TargetError: a target outside the target domain.
        """
        if targets is None:
            if self.summary is None:
                raise OptionError(
                    f"no targets were given and this {type(self).__name__} was not made by from_targets; "
                    "pass the training targets."
                )
            return self.summary
        total: Tensor | None = None
        for batch in batches_of(targets):
            part = self._summarise(batch)
            total = part if total is None else self._merge(total, part)
        if total is None:
            raise OptionError("targets is an empty stream; expected at least one batch.")
        return total

    def baseline_nll(self, targets: Targets | None = None) -> Tensor:
        """The mean NLL of the best constant prediction on these targets: what a useless model scores.

        It is the least value that ``reduction="mean"`` can reach when the head puts out the same for every
        example, with the same class weights, smoothing and ignored targets as the loss; so the two compare.

        Args:
            targets: a tensor or a stream of batches, read once; without them, those that `from_targets` saw.

        Returns:
            A 0-d float64 tensor, in nats; 0 where no target counts.
        """
        return self._baseline(self.summarise(targets))

    def best_constant(self, targets: Targets | None = None, *, smoothing: float = 0.5) -> Tensor:
        """What the head should put out for every example if it may not look at the input: the log prior.

        Args:
            targets: a tensor or a stream of batches; without them, those that `from_targets` saw.
            smoothing: how many examples an outcome that was never seen counts as, so that it is finite.
                Outcomes that were seen are not touched.

        Returns:
            ``[num_parameters]``, float64.
        """
        return self._best_bias(self.summarise(targets), smoothing)

    # -- the layer in front -----------------------------------------------------------------------

    @property
    def num_parameters(self) -> int:
        """How many numbers the head puts out for each example."""
        return math.prod(n if isinstance(n, int) else getattr(self, n) for n in self.parameter_shape)

    def head(self, in_features: int, *, bias: bool = True) -> nn.Linear:
        """A linear layer that puts out what this likelihood takes."""
        return nn.Linear(in_features, self.num_parameters, bias=bias)

    def init_bias_(
        self, head: nn.Linear, targets: Targets | None = None, *, smoothing: float = 0.5
    ) -> nn.Linear:
        """Set the head's bias to the best constant prediction, so that the first loss is the baseline.

        The head's weights stay as they are; the first loss is the baseline as far as they add little.

        Args:
            head: the last linear layer, changed in place.
            targets: a tensor or a stream of batches; without them, those that `from_targets` saw.
            smoothing: how many examples an outcome that was never seen counts as, so that its bias is finite.
                Outcomes that were seen are not touched.

        Returns:
            The head.

        Raises:
            ShapeError: the head's width is not that of this likelihood.
            OptionError: the head has no bias, or the smoothing leaves an infinite bias.
        """
        if head.out_features != self.num_parameters:
            raise ShapeError(
                f"the head puts out {head.out_features} numbers; this {type(self).__name__} takes "
                f"{self.num_parameters}. Make it with head(in_features)."
            )
        if head.bias is None:
            raise OptionError("the head has no bias to set; make it with bias=True.")
        bias = self.best_constant(targets, smoothing=smoothing)
        if not bool(torch.isfinite(bias).all()):
            raise OptionError(
                f"smoothing={smoothing} leaves an outcome that was never seen with an infinite bias; use a "
                "positive one."
            )
        with torch.no_grad():
            head.bias.copy_(bias)
        return head
