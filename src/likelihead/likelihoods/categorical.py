"""One class out of several: the softmax likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical as CategoricalDistribution
from torch.nn.functional import pad

from likelihead.core.domains import ClassIndex
from likelihead.core.links import LOG, SOFTMAX, LogLink, ProbabilityLink, at_least_float32, with_spare_digits
from likelihead.core.options import real_number, whole_number
from likelihead.core.reduction import Normalizer, Reduction
from likelihead.core.sample_weight import weigh
from likelihead.errors import OptionError, ShapeError
from likelihead.kernels.dispatch import softmax_loss, softmax_nll
from likelihead.kernels.ops import (
    along_classes,
    check_class_mask,
    check_softmax_options,
    compute_dtype,
    softmax_count,
)
from likelihead.likelihoods import class_head, class_prior, class_residual
from likelihead.likelihoods.base import Likelihood, Targets, given, register, weighted_batches
from likelihead.likelihoods.checks import (
    as_vector,
    check_class_logits,
    check_in_domain,
    check_weight,
    is_settled,
    reduces_at_once,
)
from likelihead.likelihoods.class_checks import checked_target
from likelihead.likelihoods.counts import class_counts, class_counts_of_stream
from likelihead.likelihoods.decisions import check_cost, least_cost
from likelihead.likelihoods.divergence import entropy_terms, kl_terms
from likelihead.likelihoods.target_share import nll_of_log_probs

__all__ = ["Categorical"]


@register
class Categorical(Likelihood):
    r"""One of C classes, with a logit for each and a softmax as the link.

    .. math:: p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}, \qquad -\log p_y = \operatorname{logsumexp}(z) - z_y

    where z are the logits after ``softcap`` and ``logit_offset``, where given.

    Shape:
        - logits: ``[N, C]`` or ``[N, C, d1, ...]``; the classes are along dimension 1.
        - target: class indices ``[N]`` or ``[N, d1, ...]``, of any integer dtype; or probabilities of the
          logits' shape.

    Args:
        num_classes: C, at least 2.
        weight: ``[C]``; a weight of 2 counts as every example of the class twice. The mean divides by the
            sum of the targets' weights; with probability targets by the number of examples, as torch does.
        label_smoothing: the share of each target that is spread over all classes, in [0, 1].
        ignore_index: a class index that is left out of the loss and of its count.
        reduction: see `Likelihood`.
        z_loss: adds ``z_loss * logsumexp(z) ** 2``, which keeps the logits' scale from drifting.
        softcap: replaces the logits by ``softcap * tanh(logits / softcap)``.
        logit_offset: ``[C]``, added to the logits: the log prior for logit adjustment, the log sampling rate
            for sampled data, -inf to take a class out. It is part of the distribution; `unadjusted` predicts
            without it.

    Raises:
        OptionError: an option outside its range.
        ShapeError: a weight or an offset that is not ``[C]`` (LH602).

    >>> likelihood = Categorical(3)
    >>> logits = torch.tensor([[2.0, 0.0, -1.0]])
    >>> likelihood(logits, torch.tensor([0]))
    tensor(0.1698)
    >>> likelihood.predict(logits)
    tensor([0])
    """

    name = "categorical"
    task = "multiclass"
    link: ProbabilityLink = SOFTMAX
    target_domain: ClassIndex = ClassIndex()
    parameter_shape = ("num_classes",)
    weight: Tensor | None
    logit_offset: Tensor | None

    def __init__(
        self,
        num_classes: int,
        *,
        weight: Tensor | Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        z_loss: float = 0.0,
        softcap: float | None = None,
        logit_offset: Tensor | Sequence[float] | None = None,
    ) -> None:
        super().__init__(reduction=reduction)
        num_classes = whole_number("num_classes", num_classes)
        label_smoothing = real_number("label_smoothing", label_smoothing)
        ignore_index = whole_number("ignore_index", ignore_index)
        if num_classes < 2:
            raise OptionError(
                f"num_classes is {num_classes}; expected at least 2. One logit is a Bernoulli.", code="LH303"
            )
        if not 0.0 <= label_smoothing <= 1.0:
            raise OptionError(f"label_smoothing is {label_smoothing}; expected a share in [0, 1].")
        check_softmax_options(num_classes, z_loss=z_loss, softcap=softcap)
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index
        self.z_loss = z_loss
        self.softcap = softcap
        self.target_domain = ClassIndex.of(num_classes, ignore_index)
        self.register_buffer("weight", as_vector("weight", weight, num_classes))
        self.register_buffer(
            "logit_offset", as_vector("logit_offset", logit_offset, num_classes, signed=True)
        )

    @classmethod
    def from_log_probs(
        cls,
        num_classes: int,
        *,
        weight: Tensor | Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
    ) -> Categorical:
        """The same likelihood, for an input that is ready log-probabilities: the LogSoftmax and NLLLoss way.

        Every method takes log-probabilities where it says logits. The head is still a plain linear layer; the
        ``log_softmax`` between the two is the caller's.

        >>> log_probs = torch.log_softmax(torch.tensor([[2.0, 0.0, -1.0]]), dim=1)
        >>> Categorical.from_log_probs(3)(log_probs, torch.tensor([0]))
        tensor(0.1698)
        """
        likelihood = cls(
            num_classes,
            weight=weight,
            label_smoothing=label_smoothing,
            ignore_index=ignore_index,
            reduction=reduction,
        )
        likelihood.link = LOG
        return likelihood

    @classmethod
    def from_targets(
        cls, targets: Targets, *, sample_weight: Targets | None = None, **options: Any
    ) -> Categorical:
        """The likelihood with as many classes as the targets have, and their frequencies kept.

        Class indices give the largest index plus one; probabilities give the size of dimension 1.

        >>> likelihood = Categorical.from_targets(torch.tensor([0, 2, 2, 1]))
        >>> likelihood.num_classes, likelihood.baseline_nll()
        (3, tensor(1.0397, dtype=torch.float64))
        """
        known = options.pop("num_classes", None)
        if known is not None:
            likelihood = cls(known, **options)
            likelihood.summary = likelihood.summarise(targets, sample_weight=sample_weight)
            return likelihood
        batches = weighted_batches(targets, sample_weight)
        counts = class_counts_of_stream(batches, options.get("ignore_index", -100))
        likelihood = cls(max(counts.shape[1], 2), **options)
        likelihood.summary = pad(counts, (0, likelihood.num_classes - counts.shape[1]))
        return likelihood

    def unadjusted(self) -> Categorical:
        """The same likelihood without the logit offset: what logit adjustment predicts with.

        >>> adjusted = Categorical(2, logit_offset=torch.tensor([0.9, 0.1]).log())
        >>> logits = torch.tensor([[0.0, 1.0]])
        >>> adjusted.predict(logits), adjusted.unadjusted().predict(logits)
        (tensor([0]), tensor([1]))
        """
        plain = Categorical(
            self.num_classes,
            weight=self.weight,
            label_smoothing=self.label_smoothing,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            z_loss=self.z_loss,
            softcap=self.softcap,
        )
        plain.link = self.link
        return plain

    @property
    def takes_log_probs(self) -> bool:
        """Whether the input is log-probabilities."""
        return isinstance(self.link, LogLink)

    def _effective(self, logits: Tensor, where: Tensor | None = None) -> Tensor:
        """The logits of the distribution: capped, then offset, and -inf where a class cannot be."""
        check_class_logits(logits, self.num_classes)
        check_class_mask(where, logits.shape)
        z = at_least_float32(logits)
        if where is not None:
            z = torch.where(where, z, 0)
        if self.softcap is not None:
            z = self.softcap * torch.tanh(z / self.softcap)
        if self.logit_offset is not None:
            z = z + along_classes(self.logit_offset.to(z.dtype), z)
        if where is not None:
            z = torch.where(where, z, -torch.inf)
            if self.takes_log_probs:
                # What the classes that cannot be had is shared among the others.
                z = torch.log_softmax(z, 1)
        return z

    def distribution(self, logits: Tensor, *, where: Tensor | None = None) -> CategoricalDistribution:
        """The distribution, with the classes moved from dimension 1 to the end of its parameters."""
        return CategoricalDistribution(logits=self._effective(logits, where).movedim(1, -1))

    def probs(self, logits: Tensor, *, where: Tensor | None = None) -> Tensor:
        """The probability of each class, in the logits' shape, in float32 at least.

        Args:
            logits: ``[N, C, ...]``.
            where: the logits' shape; False for a class that the example cannot have, whose probability is 0.
        """
        return self.link.inverse(self._effective(logits, where), 1)

    def log_probs(self, logits: Tensor, *, where: Tensor | None = None) -> Tensor:
        """The log-probability of each class, in the logits' shape, with every digit of a confident one."""
        return self.link.log_inverse(self._effective(logits, where), 1)

    def predict(
        self,
        logits: Tensor,
        *,
        threshold: float | Tensor | None = None,
        cost: Tensor | None = None,
        where: Tensor | None = None,
    ) -> Tensor:
        """The most probable class, or the decision with the least expected cost.

        Ties go to the lowest index.

        Args:
            logits: ``[N, C, ...]``.
            threshold: not for more than two outcomes; give a cost matrix.
            cost: ``[C, A]``, ``cost[true, predicted]``. With A = C the decisions are the classes; a further
                column is a further decision, such as to abstain.
            where: the logits' shape; False for a class that the example cannot have, which is not predicted.

        Returns:
            int64 indices, ``[N, ...]``.

        >>> cost = torch.tensor([[0.0, 1.0, 0.3], [1.0, 0.0, 0.3]])  # the third decision: ask a person
        >>> Categorical(2).predict(torch.tensor([[3.0, 0.0], [0.1, 0.0]]), cost=cost)
        tensor([0, 2])
        """
        if threshold is not None:
            raise OptionError("a Categorical has no threshold; give cost=, a matrix cost[true, predicted].")
        z = self._effective(logits, where)
        if cost is None:
            return z.argmax(1)
        cost = check_cost(cost, ((self.num_classes, None),))
        return least_cost(self.link.inverse(z, 1).movedim(1, -1), cost)

    def entropy(self, logits: Tensor, *, where: Tensor | None = None) -> Tensor:
        r"""The entropy :math:`-\sum_k p_k \log p_k`, in nats, ``[N, ...]``."""
        return entropy_terms(self.log_probs(logits, where=where)).sum(1)

    def kl(self, logits_p: Tensor, logits_q: Tensor) -> Tensor:
        r"""The divergence :math:`\sum_k p_k (\log p_k - \log q_k)`, in nats, ``[N, ...]``; never negative."""
        if logits_p.shape != logits_q.shape:
            raise ShapeError(
                f"logits_p has shape {list(logits_p.shape)} and logits_q {list(logits_q.shape)}; expected "
                "the same."
            )
        log_p, log_q = (self.log_probs(with_spare_digits(logits)) for logits in (logits_p, logits_q))
        return kl_terms(log_p, log_q).sum(1).to(at_least_float32(logits_p).dtype)

    def _check(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        where: Tensor | None = None,
    ) -> Tensor:
        """Refuse what cannot be scored; class indices come back as int64."""
        return checked_target(self, logits, target, sample_weight, where)

    def nll(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        sample_weight: Tensor | None = None,
        where: Tensor | None = None,
    ) -> Tensor:
        r"""Negative log-likelihood of each target, in nats, with every option applied.

        .. math:: (1-\varepsilon)\,w_y\,\ell_y + \frac{\varepsilon}{C}\sum_k w_k\,\ell_k
                  + \zeta \operatorname{logsumexp}(z)^2, \qquad \ell_k = \operatorname{logsumexp}(z) - z_k

        with :math:`w` the weight, :math:`\varepsilon` the smoothing and :math:`\zeta` the z-loss; for a
        probability target q, :math:`\sum_k w_k q'_k \ell_k` with :math:`q' = (1-\varepsilon) q + \varepsilon
        / C`. ``where`` is False for a class that the example cannot have: its probability is 0, its gradient
        too, and the smoothing is spread over the others.

        Shape:
            - logits, where: ``[N, C]`` or ``[N, C, *spatial]``.
            - target: ``[N]`` or ``[N, *spatial]``, or probabilities of the logits' shape.
            - returns: ``[N]`` or ``[N, *spatial]``, float32 at least; 0 where the target is ignored
              or the example's ``sample_weight`` is 0.

        Raises:
            TargetError: a class index outside ``[0, C)`` (LH203).
            ShapeError: the classes are not along dimension 1 (LH301), the target does not fit, or the
                ``sample_weight`` is not one number per example (LH603).
            DTypeError: a bool or floating-point target of index shape (LH202).
            MisuseError: the input is no logits: it came out of a softmax (LH101), for one.

        >>> Categorical(3).nll(torch.zeros(1, 3), torch.tensor([0]))
        tensor([1.0986])
        """
        target = self._check(logits, target, sample_weight, where)
        if not self.takes_log_probs:
            return softmax_nll(logits, target, sample_weight=sample_weight, where=where, **self._options())[0]
        logits, target = class_residual.finite(logits, target, sample_weight)
        log_probs = at_least_float32(logits) if where is None else self._effective(logits, where)
        return weigh(nll_of_log_probs(self, log_probs, target, where), sample_weight)

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        sample_weight: Tensor | None = None,
        normalizer: Normalizer | None = None,
        where: Tensor | None = None,
    ) -> Tensor:
        """`nll`, reduced; see `Likelihood.forward`. ``where`` is that of `nll`."""
        # A subclass with another nll or count has another mean.
        ours = type(self).nll is Categorical.nll and type(self).count is Categorical.count
        ours = ours and not self.takes_log_probs
        if ours and reduces_at_once(logits, target, self.reduction, normalizer):
            target = self._check(logits, target, sample_weight, where)
            loss = softmax_loss(
                logits,
                target,
                reduction=self.reduction,
                normalizer=normalizer,
                sample_weight=sample_weight,
                where=where,
                **self._options(),
            )
            if is_settled(loss, self.reduction):
                return loss
        if where is None:
            return super().forward(logits, target, normalizer=normalizer, **given(sample_weight))
        nll = self.nll(logits, target, where=where, **given(sample_weight))
        count = self.count(target, **given(sample_weight))
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
        """`nll` of the logits ``head(hidden)``, which never exist whole.

        ``compact`` is that of `likelihead.functional.linear_cross_entropy`.

        Shape:
            - hidden: ``[N, D]``, or with leading dimensions, as ``[B, T, D]``.
            - target: ``[N]`` or ``[B, T]``; or probabilities, with C behind.
            - returns: ``[N]`` or ``[B, T]``, in nats.

        Raises:
            ShapeError: a head of another width than the hidden states or the classes; a target that does not
                fit.
            OptionError: a likelihood that takes log-probabilities; a head that is more than a linear layer.

        >>> head = nn.Linear(2, 3)
        >>> Categorical(3).linear_nll(torch.zeros(4, 5, 2), head, torch.zeros(4, 5, dtype=torch.long)).shape
        torch.Size([4, 5])
        """
        if type(self).nll is not Categorical.nll:  # a subclass scores in its own way
            return super().linear_nll(hidden, head, target, sample_weight=sample_weight, compact=compact)
        return class_head.nll(self, hidden, head, target, sample_weight, compact)

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
        """`linear_nll`, reduced; see `Likelihood.forward`."""
        if type(self).nll is not Categorical.nll or type(self).count is not Categorical.count:
            return super().linear_loss(
                hidden, head, target, sample_weight=sample_weight, normalizer=normalizer, compact=compact
            )
        return class_head.loss(self, hidden, head, target, sample_weight, normalizer, compact)

    def linear_predict(self, hidden: Tensor, head: nn.Linear, **decision: Any) -> Tensor:
        """`predict` of the logits ``head(hidden)``, which for the likeliest class never exist whole."""
        own = type(self).predict is not Categorical.predict or self.takes_log_probs
        if own or any(given is not None for given in decision.values()):
            return super().linear_predict(hidden, head, **decision)
        return class_head.prediction(self, hidden, head)

    def _of_head(self, hidden: Tensor, head: nn.Linear, target: Any = None) -> tuple[Tensor, Any]:
        return class_head.logits_first(head(hidden), target)

    def _options(self) -> dict[str, Any]:
        return {
            "weight": self.weight,
            "label_smoothing": self.label_smoothing,
            "ignore_index": self.ignore_index,
            "z_loss": self.z_loss,
            "softcap": self.softcap,
            "logit_offset": self.logit_offset,
        }

    def count(self, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor | int:
        """The sum of the targets' weights; for probability targets, the number of examples.

        With ``sample_weight`` each counts as often as its example's weight says.
        """
        weight = None if self.weight is None else self.weight.to(compute_dtype(self.weight.dtype))
        shape = [*target.shape[:1], *target.shape[2:]] if target.is_floating_point() else target.shape
        check_weight(sample_weight, shape)
        return softmax_count(
            target,
            self.num_classes,
            weight=weight,
            ignore_index=self.ignore_index,
            sample_weight=sample_weight,
        )

    def residual(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        sample_weight: Tensor | None = None,
        where: Tensor | None = None,
    ) -> Tensor:
        r"""The gradient of ``nll(logits, target).sum()``: :math:`p - y`, with every option applied.

        With :math:`a_k` the weight of class k in the target and A their sum it is

        .. math:: (A - a_k)\,p_k - a_k\,(1 - p_k) + 2 \zeta \operatorname{logsumexp}(z)\,p_k

        times the slope of the softcap; :math:`1 - p_k` is summed from the other classes, not subtracted.
        For log-probabilities it is :math:`-a_k`.

        Returns:
            The logits' shape, float32 at least; 0 where the target is ignored, and where ``where`` is False.

        >>> Categorical(3).residual(torch.tensor([[20.0, 0.0, 0.0]]), torch.tensor([0]))
        tensor([[-4.1223e-09,  2.0612e-09,  2.0612e-09]])
        """
        target = self._check(logits, target, sample_weight, where)
        return class_residual.residual(self, logits, target, sample_weight, where)

    def _summarise(self, targets: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        if not targets.is_floating_point():
            check_in_domain(targets, self.target_domain, code="LH203")
        elif targets.dim() < 2 or targets.shape[1] != self.num_classes:
            raise ShapeError(
                f"targets have shape {list(targets.shape)}; expected probabilities [N, {self.num_classes}, "
                "...], or class indices as integers."
            )
        return class_counts(targets, self.ignore_index, self.num_classes, sample_weight=sample_weight)

    def _baseline(self, summary: Tensor) -> Tensor:
        return class_prior.baseline(self, summary)

    def _best_bias(self, summary: Tensor, smoothing: float) -> Tensor:
        return class_prior.best_bias(self, summary, smoothing)

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        parts = [str(self.num_classes), f"reduction={self.reduction!r}"]
        if self.takes_log_probs:
            parts.append("input=log_probs")
        return ", ".join(parts)
