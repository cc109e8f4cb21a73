"""One class out of several that have an order: the cumulative link (ordinal) likelihood."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Categorical as CategoricalDistribution

from likelihead.core.domains import ClassIndex
from likelihead.core.links import IDENTITY, at_least_float32, log1mexp, with_spare_digits
from likelihead.core.options import whole_number
from likelihead.core.reduction import Reduction
from likelihead.core.sample_weight import weigh, weighted_count, without_left_out
from likelihead.errors import DTypeError, OptionError
from likelihead.guard.check import check_call
from likelihead.kernels.ops import softmax_count
from likelihead.likelihoods.base import Likelihood, Targets, register, weighted_batches
from likelihead.likelihoods.checks import (
    can_read,
    check_in_domain,
    check_same_shape,
    check_tensor,
    check_weight,
)
from likelihead.likelihoods.counts import class_counts, class_counts_of_stream, seen_or
from likelihead.likelihoods.decisions import check_cost, least_cost
from likelihead.likelihoods.divergence import entropy_terms, kl_terms
from likelihead.likelihoods.special import softplus

__all__ = ["CumulativeLink"]


@register
class CumulativeLink(Likelihood):
    r"""One of C classes in an order, such as grades: a score for each example and C - 1 thresholds for all.

    .. math:: P(y \le k) = \sigma(t_k - s), \qquad P(y = k) = \sigma(t_k - s) - \sigma(t_{k-1} - s)

    with :math:`t_0 < t_1 < \dots < t_{C-2}`, :math:`t_{-1} = -\infty` and :math:`t_{C-1} = \infty`: the
    higher the score, the higher the class (proportional odds). The difference is computed as a product,
    :math:`\sigma(a) - \sigma(b) = \sigma(a)\,\sigma(-b)\,(1 - e^{b - a})`, whose logarithm keeps every digit.

    **The thresholds are parameters of the likelihood**: give the optimizer ``likelihood.parameters()`` beside
    the network's. They are kept in order by construction, as a lowest threshold and the distances above it
    through a softplus. `from_targets` and `init_bias_` set them to the frequencies of the classes; without
    either they are those of equally frequent classes.

    Shape:
        - logits: the scores, one for each target, of any shape; a head puts out ``[N, 1]``.
        - target: the same shape, class indices in ``[0, C)`` of any integer dtype, or ``ignore_index``.
        - probs, log_probs: the classes along dimension 1: ``[N, C]`` for ``[N]``, ``[N, C, d1, ...]``.

    Args:
        num_classes: C, at least 2.
        ignore_index: a class index that is left out of the loss and of its count.
        reduction: see `Likelihood`.

    Attributes:
        lowest: the lowest threshold.
        gaps: ``[C - 2]``, the distances between neighbouring thresholds before their softplus.

    Raises:
        OptionError: fewer than two classes.

    >>> likelihood = CumulativeLink(3)
    >>> likelihood.probs(torch.tensor([0.0]))
    tensor([[0.3333, 0.3333, 0.3333]], grad_fn=<ExpBackward0>)
    >>> likelihood(torch.tensor([[4.0], [-4.0]]), torch.tensor([[2], [0]])).item()
    0.035976...

    References:
        McCullagh (1980), Regression Models for Ordinal Data.
    """

    name = "cumulative_link"
    task = "ordinal"
    link = IDENTITY
    target_domain: ClassIndex = ClassIndex()
    parameter_shape = ()

    def __init__(self, num_classes: int, *, ignore_index: int = -100, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        num_classes = whole_number("num_classes", num_classes)
        ignore_index = whole_number("ignore_index", ignore_index)
        if num_classes < 2:
            raise OptionError(f"num_classes is {num_classes}; expected at least 2.")
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.target_domain = ClassIndex.of(num_classes, ignore_index)
        self.lowest = nn.Parameter(torch.zeros(()))
        self.gaps = nn.Parameter(torch.zeros(num_classes - 2))
        self._set_thresholds(torch.ones(num_classes, dtype=torch.float64))

    @classmethod
    def from_targets(
        cls, targets: Targets, *, sample_weight: Targets | None = None, **options: Any
    ) -> CumulativeLink:
        """The likelihood with as many classes as the targets have, and thresholds at their frequencies.

        A class that never occurs counts as half an example, so that its thresholds stay apart.

        >>> likelihood = CumulativeLink.from_targets(torch.tensor([0, 2, 2, 1]))
        >>> likelihood.probs(torch.zeros(1)).detach()
        tensor([[0.2500, 0.2500, 0.5000]])
        """
        known = options.pop("num_classes", None)
        ignore_index = options.get("ignore_index", -100)
        if known is None:
            counts = class_counts_of_stream(weighted_batches(targets, sample_weight), ignore_index)
            likelihood = cls(max(counts.shape[1], 2), **options)
            summary = counts.new_zeros(likelihood.num_classes)
            summary[: counts.shape[1]] = counts.sum(0)
            likelihood.summary = summary
        else:
            likelihood = cls(known, **options)
            likelihood.summary = likelihood.summarise(targets, sample_weight=sample_weight)
        likelihood._set_thresholds(seen_or(likelihood.summary, 0.5))
        return likelihood

    @torch.no_grad()
    def _set_thresholds(self, counts: Tensor) -> None:
        """Thresholds under which a score of 0 has these frequencies; every count is positive."""
        below = counts.cumsum(0)[:-1]
        # Counted from both ends: log(below / above), so that neither is a difference.
        above = counts.flip(0).cumsum(0).flip(0)[1:]
        thresholds = torch.log(below) - torch.log(above)
        distances = thresholds.diff()
        self.lowest.copy_(thresholds[0])
        self.gaps.copy_(distances + torch.log(-torch.expm1(-distances)))  # the inverse of softplus

    def thresholds(self, dtype: torch.dtype | None = None) -> Tensor:
        """The thresholds in their order, ``[C - 1]``, in float32 at least, or in ``dtype``."""
        lowest, gaps = at_least_float32(self.lowest), at_least_float32(self.gaps)
        if dtype is not None:
            lowest, gaps = lowest.to(dtype), gaps.to(dtype)
        return torch.cat([lowest.reshape(1), lowest + softplus(gaps).cumsum(0)])

    # -- what it is -------------------------------------------------------------------------------

    def _scores(self, logits: Tensor) -> Tensor:
        check_tensor("logits", logits)
        if not logits.is_floating_point():
            raise DTypeError(
                f"logits is {logits.dtype}; expected floating-point scores, one for each example."
            )
        return at_least_float32(logits)

    def _class_log_probs(self, score: Tensor) -> Tensor:
        """The log-probabilities of all classes, along a new last dimension."""
        thresholds = self.thresholds(score.dtype)
        distances = softplus(at_least_float32(self.gaps).to(score.dtype))
        apart = thresholds - score.unsqueeze(-1)
        below = -softplus(-apart)  # log P(y <= k)
        above = -softplus(apart)  # log P(y > k)
        inner = below[..., 1:] + above[..., :-1] + log1mexp(-distances)
        return torch.cat([below[..., :1], inner, above[..., -1:]], dim=-1)

    def distribution(self, logits: Tensor) -> CategoricalDistribution:
        """The distribution of the class, with the classes at the end of its parameters."""
        return CategoricalDistribution(logits=self._class_log_probs(self._scores(logits)))

    def log_probs(self, logits: Tensor) -> Tensor:
        """The log-probability of each class, along dimension 1, in float32 at least."""
        return _classes_second(self._class_log_probs(self._scores(logits)))

    def probs(self, logits: Tensor) -> Tensor:
        """The probability of each class, along dimension 1, in float32 at least."""
        return torch.exp(self.log_probs(logits))

    def predict(
        self,
        logits: Tensor,
        *,
        threshold: float | Tensor | None = None,
        cost: Tensor | None = None,
        rule: Literal["mode", "median"] = "mode",
    ) -> Tensor:
        """The most probable class, the median class, or the decision with the least expected cost.

        The median is the lowest class that at least half of the probability lies at or below; it has the
        least expected distance from the class that is true.

        Args:
            logits: the scores.
            threshold: not for more than two outcomes; give a cost matrix.
            cost: ``[C, A]``, ``cost[true, predicted]``.
            rule: ``"mode"`` or ``"median"``; the cost matrix has a rule of its own.

        Returns:
            int64 indices, in the scores' shape.
        """
        if threshold is not None:
            raise OptionError(
                "a CumulativeLink has no threshold; give cost=, a matrix cost[true, predicted]."
            )
        if rule not in ("mode", "median"):
            raise OptionError(f"rule is {rule!r}; expected 'mode' or 'median'.")
        score = self._scores(logits)
        if cost is not None:
            if rule != "mode":
                raise OptionError(
                    "predict was given rule= and cost=; a cost matrix decides by itself: give one."
                )
            cost = check_cost(cost, ((self.num_classes, None),))
            return least_cost(torch.exp(self._class_log_probs(score)), cost)
        if rule == "median":
            return (self.thresholds(score.dtype) < score.unsqueeze(-1)).sum(-1)
        return self._class_log_probs(score).argmax(-1)

    def entropy(self, logits: Tensor) -> Tensor:
        r"""The entropy :math:`-\sum_k P(k) \log P(k)`, in nats, in the scores' shape."""
        return entropy_terms(self._class_log_probs(self._scores(logits))).sum(-1)

    def kl(self, logits_p: Tensor, logits_q: Tensor) -> Tensor:
        r"""The divergence :math:`\sum_k p_k (\log p_k - \log q_k)`, in nats; never negative."""
        check_same_shape(logits_p, logits_q, name="logits_q")
        p, q = (self._class_log_probs(with_spare_digits(self._scores(x))) for x in (logits_p, logits_q))
        return kl_terms(p, q).sum(-1).to(at_least_float32(logits_p).dtype)

    # -- how well it fits -------------------------------------------------------------------------

    def _check(
        self, logits: Tensor, target: Tensor, sample_weight: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Refuse what cannot be scored; the scores, the class of each, and whether it is scored."""
        score = self._scores(logits)
        check_same_shape(logits, target)
        if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
            raise DTypeError(
                f"target is {target.dtype}; expected class indices as integers: target.long().", code="LH202"
            )
        if can_read(target):
            check_in_domain(target, self.target_domain, code="LH203")
        check_weight(sample_weight, target.shape)
        classes = target.long()
        kept = classes != self.ignore_index
        counting = kept
        if sample_weight is not None:
            counting = kept & (_like(sample_weight.detach(), score) != 0)
        check_call(
            "mse", logits, torch.where(counting, score.detach(), 0), default_action="raise", mask=counting
        )
        score = without_left_out(torch.where(kept, score, 0), sample_weight)
        return score, torch.where(kept, classes, 0), kept

    def nll(self, logits: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        r"""Negative log-likelihood of each class, in nats.

        .. math:: -\log \sigma(t_y - s) - \log \sigma(s - t_{y-1}) - \log(1 - e^{t_{y-1} - t_y})

        Shape:
            - returns: the target's shape, float32 at least; 0 where the target is ignored or the example's
              ``sample_weight`` is 0.

        Raises:
            TargetError: a class index outside ``[0, C)`` (LH203).
            ShapeError: the target's shape is not that of the scores (LH302), or the ``sample_weight`` is not
                one number per example (LH603).
            DTypeError: a target that holds no class indices (LH202).
        """
        score, classes, kept = self._check(logits, target, sample_weight)
        below, above, distance = self._around(score, classes)
        is_first, is_last = classes == 0, classes == self.num_classes - 1
        # Each branch sees harmless values where the other is taken.
        up = torch.where(is_last, 0, softplus(torch.where(is_last, 0, -above)))
        down = torch.where(is_first, 0, softplus(torch.where(is_first, 0, below)))
        inner = torch.where(is_first | is_last, 0, -log1mexp(-torch.where(is_first | is_last, 1.0, distance)))
        return weigh(torch.where(kept, up + down + inner, 0), sample_weight)

    def _around(self, score: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """How far the thresholds below and above the class lie over the score, and from each other."""
        thresholds = self.thresholds(score.dtype)
        distances = softplus(at_least_float32(self.gaps).to(score.dtype))
        last = self.num_classes - 2
        above = thresholds[classes.clamp_max(last)] - score
        below = thresholds[(classes - 1).clamp_min(0)] - score
        if last == 0:
            return below, above, torch.ones_like(score)
        return below, above, distances[(classes - 1).clamp(0, last - 1)]

    def count(self, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor | int:
        """The number of targets that are not ignored; with ``sample_weight``, the sum of their weights."""
        if sample_weight is None:
            return softmax_count(target, self.num_classes, ignore_index=self.ignore_index)
        check_weight(sample_weight, target.shape)
        return weighted_count(target.long() != self.ignore_index, sample_weight, target.shape)

    def residual(self, logits: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        r"""The gradient of ``nll(logits, target).sum()`` with respect to the scores.

        .. math:: \sigma(s - t_y) - \sigma(t_{y-1} - s)

        the probability of a higher class less that of a lower one, under the score.
        """
        score, classes, kept = self._check(logits, target, sample_weight)
        with torch.no_grad():
            below, above, _ = self._around(with_spare_digits(score), classes)
        higher = torch.where(classes == self.num_classes - 1, 0, torch.sigmoid(-above))
        lower = torch.where(classes == 0, 0, torch.sigmoid(below))
        gradient = torch.where(kept, higher - lower, 0)
        return weigh(gradient, sample_weight).to(score.dtype)

    # -- the best constant prediction: the summary is the count of each class ----------------------

    def _summarise(self, targets: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        check_tensor("targets", targets)
        if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
            raise DTypeError(
                f"targets are {targets.dtype}; expected class indices as integers: targets.long().",
                code="LH202",
            )
        check_in_domain(targets, self.target_domain, code="LH203")
        counts = class_counts(targets, self.ignore_index, self.num_classes, sample_weight=sample_weight)
        return counts.sum(0)

    def _baseline(self, summary: Tensor) -> Tensor:
        """The entropy of the frequencies: one score and free thresholds make any of them."""
        total = summary.sum()
        share = summary / torch.where(total > 0, total, 1)
        return entropy_terms(torch.log(share)).sum()

    @torch.no_grad()
    def _best_bias(self, summary: Tensor, smoothing: float) -> Tensor:
        """The score that fits best under the thresholds as they are: where its derivative is 0."""
        counts = seen_or(summary, smoothing)
        classes = torch.arange(self.num_classes, device=counts.device)
        low, high = counts.new_tensor(-1e4), counts.new_tensor(1e4)
        for _ in range(100):
            middle = 0.5 * (low + high)
            slope = (counts * self.residual(middle.expand(self.num_classes), classes)).sum()
            low, high = torch.where(slope < 0, middle, low), torch.where(slope < 0, high, middle)
        return (0.5 * (low + high)).reshape(1)

    def init_bias_(
        self,
        head: nn.Linear,
        targets: Targets | None = None,
        *,
        sample_weight: Targets | None = None,
        smoothing: float = 0.5,
    ) -> nn.Linear:
        """Set the thresholds to the frequencies of the classes, and the head's bias to 0.

        The head's weights stay as they are; see `Likelihood.init_bias_`.
        """
        counts = seen_or(self.summarise(targets, sample_weight=sample_weight), smoothing)
        if not bool((counts > 0).all()):
            raise OptionError(
                f"smoothing={smoothing} leaves a class that was never seen without a place between the "
                "thresholds; use a positive one."
            )
        self._check_head(head)
        self._set_thresholds(counts)
        with torch.no_grad():
            head.bias.zero_()
        return head

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"{self.num_classes}, reduction={self.reduction!r}"


def _classes_second(last: Tensor) -> Tensor:
    """The classes moved from the end to dimension 1, or to the front of a single example."""
    return last if last.dim() == 1 else last.movedim(-1, 1)


def _like(sample_weight: Tensor, score: Tensor) -> Tensor:
    return sample_weight.reshape(*sample_weight.shape, *[1] * (score.dim() - sample_weight.dim()))
