"""The base of every likelihood, and their registry.

A likelihood states as data what it is: its ``link``, the ``target_domain`` and the ``parameter_shape``. From
these come the width of the head, the checks, the table in the documentation and the test suite that every
entry of `REGISTRY` goes through.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any, ClassVar, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from likelihead.core.domains import Domain
from likelihead.core.links import Link
from likelihead.core.options import shown
from likelihead.core.reduction import Normalizer, Reduction, check_reduction, reduce
from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.likelihoods.checks import can_read
from likelihead.likelihoods.headed import Headed

__all__ = ["REGISTRY", "Likelihood", "Targets", "batches_of", "given", "register", "weighted_batches"]

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


def weighted_batches(
    targets: Targets, sample_weight: Targets | None
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Batches of targets, each with the weights of its examples; None where there are none.

    Raises:
        DTypeError: something that is no tensor.
        OptionError: the weights are no stream beside a stream of targets, or of another number of batches.
    """
    if sample_weight is None:
        yield from ((batch, None) for batch in batches_of(targets))
        return
    if isinstance(targets, Tensor) != isinstance(sample_weight, Tensor):
        one, other = ("a tensor", "a stream") if isinstance(targets, Tensor) else ("a stream", "a tensor")
        raise OptionError(
            f"targets is {one} and sample_weight {other}; expected two tensors, or two streams of batches "
            "that go together."
        )
    weights = [sample_weight] if isinstance(sample_weight, Tensor) else sample_weight
    for batch, weight in zip_longest(batches_of(targets), weights):
        if batch is None or weight is None:
            name = "targets" if batch is None else "sample_weight"
            raise OptionError(f"{name} ends first; expected a batch of weights for each batch of targets.")
        yield batch, weight.detach() if isinstance(weight, Tensor) else weight


def given(sample_weight: Tensor | None) -> dict[str, Tensor]:
    """The keyword, where there are weights: a subclass that knows of none goes on working without them."""
    return {} if sample_weight is None else {"sample_weight": sample_weight}


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
    def from_targets(
        cls, targets: Targets, *, sample_weight: Targets | None = None, **options: Any
    ) -> Likelihood:
        """The likelihood that fits these targets, with what they say about classes and prior kept.

        Args:
            targets: training targets: a tensor, or a stream of batches, read once.
            sample_weight: the weights of the examples, a tensor or a stream like the targets.
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
    def nll(self, logits: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        """The negative log-likelihood of each target, in nats, with every option applied.

        With ``sample_weight`` each is multiplied by its example's weight; see `forward`.
        """

    @abstractmethod
    def count(self, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor | int:
        """What the mean divides by."""

    @abstractmethod
    def residual(self, logits: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        """The gradient of ``nll(logits, target).sum()`` with respect to the logits, from its closed form."""

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        sample_weight: Tensor | None = None,
        normalizer: Normalizer | None = None,
    ) -> Tensor:
        r"""`nll`, reduced.

        .. math:: \frac{\sum_i s_i \ell_i}{\sum_i s_i n_i}

        with :math:`s_i` the weight of an example and :math:`n_i` what its target counts without it.

        Args:
            logits: what the head puts out.
            target: what was observed.
            sample_weight: one number per example that is not negative: ``[N]``, or a longer prefix of the
                shape of `nll`. A weight of 2 is the example twice over and one of 0 leaves it out, whatever
                its logits and its target hold; the mean divides by the weights. For importance weights, whose
                mean divides by the number of examples, pass ``normalizer=N``.
            normalizer: a number or 0-d tensor that replaces `count` under ``reduction="mean"``, so that
                micro-batches, ranks and gradient accumulation divide by the same total.

        Raises:
            ShapeError: a ``sample_weight`` that is not one number per example (LH603).
        """
        weights = given(sample_weight)
        nll, count = self.nll(logits, target, **weights), self.count(target, **weights)
        return self._reduce(nll, count, normalizer, logits, target, sample_weight)

    def linear_nll(
        self,
        hidden: Tensor,
        head: nn.Linear,
        target: Tensor,
        *,
        sample_weight: Tensor | None = None,
        compact: bool | None = None,
    ) -> Tensor:
        """`nll` of the logits ``head(hidden)``.

        Raises:
            OptionError: ``compact=True``, where the logits are made: that of all examples.
        """
        self._refuse_compact(compact)
        logits, target = self._of_head(hidden, head, target)
        return self.nll(logits, target, **given(sample_weight))

    def linear_loss(
        self,
        hidden: Tensor,
        head: nn.Linear,
        target: Tensor,
        *,
        sample_weight: Tensor | None = None,
        normalizer: Normalizer | None = None,
        compact: bool | None = None,
    ) -> Tensor:
        """The loss of the logits ``head(hidden)``; see `forward` and `linear_nll`."""
        self._refuse_compact(compact)
        logits, target = self._of_head(hidden, head, target)
        loss: Tensor = self(logits, target, normalizer=normalizer, **given(sample_weight))
        return loss

    def linear_predict(self, hidden: Tensor, head: nn.Linear, **decision: Any) -> Tensor:
        """`predict` of the logits ``head(hidden)``."""
        return self.predict(self._of_head(hidden, head)[0], **decision)

    def _of_head(self, hidden: Tensor, head: nn.Linear, target: Any = None) -> tuple[Tensor, Any]:
        """The head's logits and the target, as `nll` takes them."""
        return head(hidden), target

    def with_head(self, head: nn.Linear, *, compact: bool | None = None) -> Headed:
        """The criterion of the hidden states that ``head`` makes the parameters of.

        Args:
            head: the layer.
            compact: whether examples that do not count leave before the head's products, as in
                `likelihead.functional.linear_cross_entropy`; True is for likelihoods that can do without
                their logits.

        Raises:
            ShapeError: the head's width is not that of this likelihood.
        """
        self._check_width(head)
        return Headed(self, head, compact=compact)

    def _refuse_compact(self, compact: bool | None) -> None:
        if compact:
            raise OptionError(
                f"compact is {compact!r}, and this {type(self).__name__} makes the logits of all examples; "
                "leave it out, and pass those that count."
            )

    def _reduce(
        self, nll: Tensor, count: Tensor | int, normalizer: Normalizer | None, *inputs: Tensor | None
    ) -> Tensor:
        """The NLL reduced; a mean over nothing is a 0 that hangs on the inputs alone.

        Through the NLL its gradient would be 0 times a derivative that may be infinite or NaN.
        """
        if isinstance(count, Tensor) and count.is_floating_point():
            count = count.to(nll.dtype)  # weights in float64 leave a float32 loss as it is
        reduced = reduce(nll, self.reduction, count=count, normalizer=normalizer, empty="zero")
        if self.reduction == "mean" and _is_zero(count if normalizer is None else normalizer):
            return _zero_on((*inputs, *self.parameters()), reduced)
        return reduced

    # -- the best constant prediction -------------------------------------------------------------

    @abstractmethod
    def _summarise(self, targets: Tensor, sample_weight: Tensor | None = None) -> Tensor:
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

    def summarise(self, targets: Targets | None = None, *, sample_weight: Targets | None = None) -> Tensor:
        """What the best constant prediction depends on: counts, or count, mean and spread.

        Args:
            targets: a tensor or a stream of batches; without them, those that `from_targets` saw.
            sample_weight: the weights of the examples, a tensor or a stream like the targets.

        Raises:
            OptionError: there are no targets.
            TargetError: a target outside the target domain.
        """
        if targets is None:
            if sample_weight is not None:
                raise OptionError("sample_weight was given without targets; pass the targets it belongs to.")
            if self.summary is None:
                raise OptionError(
                    f"no targets were given and this {type(self).__name__} was not made by from_targets; "
                    "pass the training targets."
                )
            return self.summary
        total: Tensor | None = None
        for batch, weight in weighted_batches(targets, sample_weight):
            part = self._summarise(batch) if weight is None else self._summarise(batch, weight)
            total = part if total is None else self._merge(total, part)
        if total is None:
            raise OptionError("targets is an empty stream; expected at least one batch.")
        return total

    def baseline_nll(self, targets: Targets | None = None, *, sample_weight: Targets | None = None) -> Tensor:
        """The mean NLL of the best constant prediction on these targets: what a useless model scores.

        It is the least value that ``reduction="mean"`` can reach when the head puts out the same for every
        example, with the same class weights, smoothing and ignored targets as the loss; so the two compare.

        Args:
            targets: a tensor or a stream of batches, read once; without them, those that `from_targets` saw.
            sample_weight: the weights of the examples, a tensor or a stream like the targets.

        Returns:
            A 0-d float64 tensor, in nats; 0 where no target counts.
        """
        return self._baseline(self.summarise(targets, sample_weight=sample_weight))

    def best_constant(
        self,
        targets: Targets | None = None,
        *,
        sample_weight: Targets | None = None,
        smoothing: float = 0.5,
    ) -> Tensor:
        """What the head should put out for every example if it may not look at the input: the log prior.

        Args:
            targets: a tensor or a stream of batches; without them, those that `from_targets` saw.
            sample_weight: the weights of the examples, a tensor or a stream like the targets.
            smoothing: how many examples an outcome that was never seen counts as, so that it is finite.
                Outcomes that were seen are not touched.

        Returns:
            ``[num_parameters]``, float64.
        """
        return self._best_bias(self.summarise(targets, sample_weight=sample_weight), smoothing)

    # -- the layer in front -----------------------------------------------------------------------

    @property
    def num_parameters(self) -> int:
        """How many numbers the head puts out for each example."""
        sizes = [n if isinstance(n, int) else getattr(self, n) for n in self.parameter_shape]
        return math.prod(sizes)  # of a list: torch.compile takes no generator here

    def head(self, in_features: int, *, bias: bool = True) -> nn.Linear:
        """A linear layer that puts out what this likelihood takes."""
        return nn.Linear(in_features, self.num_parameters, bias=bias)

    def _check_width(self, head: nn.Linear) -> None:
        if not hasattr(head, "out_features"):
            raise OptionError(
                f"head is {shown(head)}; expected a torch.nn.Linear, made by head(in_features)."
            )
        if head.out_features != self.num_parameters:
            raise ShapeError(
                f"the head puts out {head.out_features} numbers; this {type(self).__name__} takes "
                f"{self.num_parameters}. Make it with head(in_features)."
            )

    def _check_head(self, head: nn.Linear) -> None:
        """Refuse a head of another width, and one whose bias cannot be set."""
        self._check_width(head)
        if head.bias is None:
            raise OptionError("the head has no bias to set; make it with bias=True.")

    def init_bias_(
        self,
        head: nn.Linear,
        targets: Targets | None = None,
        *,
        sample_weight: Targets | None = None,
        smoothing: float = 0.5,
    ) -> nn.Linear:
        """Set the head's bias to the best constant prediction, so that the first loss is the baseline.

        The head's weights stay as they are; the first loss is the baseline as far as they add little.

        Args:
            head: the last linear layer, changed in place.
            targets: a tensor or a stream of batches; without them, those that `from_targets` saw.
            sample_weight: the weights of the examples, a tensor or a stream like the targets.
            smoothing: how many examples an outcome that was never seen counts as, so that its bias is finite.
                Outcomes that were seen are not touched.

        Returns:
            The head.

        Raises:
            ShapeError: the head's width is not that of this likelihood.
            OptionError: the head has no bias, or the smoothing leaves an infinite bias.
        """
        self._check_head(head)
        bias = self.best_constant(targets, sample_weight=sample_weight, smoothing=smoothing)
        if not bool(torch.isfinite(bias).all()):
            raise OptionError(
                f"smoothing={smoothing} leaves an outcome that was never seen with an infinite bias; use a "
                "positive one."
            )
        with torch.no_grad():
            head.bias.copy_(bias)
        return head


def _is_zero(denominator: Normalizer) -> bool:
    """Whether it is 0, as far as reading it costs no waiting and breaks no trace."""
    if isinstance(denominator, Tensor):
        return can_read(denominator) and not bool(denominator)
    return type(denominator) in (int, float) and denominator == 0


def _zero_on(inputs: tuple[Tensor | None, ...], like: Tensor) -> Tensor:
    """A 0 of the dtype of ``like``, on the graph of each input that has one, with gradient 0."""
    total = torch.zeros_like(like.detach())
    for values in inputs:
        if values is not None and values.requires_grad:
            total = total + torch.where(torch.zeros_like(values, dtype=torch.bool), values, 0).sum().to(like)
    return total
