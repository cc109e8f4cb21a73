"""What the likelihoods of yes-or-no targets share: each logit is a Bernoulli of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli as BernoulliDistribution

from likelihead.core.domains import UNIT_INTERVAL
from likelihead.core.links import SIGMOID, LogLink, ProbabilityLink, at_least_float32, with_spare_digits
from likelihead.core.reduction import Normalizer, Reduction
from likelihead.core.sample_weight import expand_sample_weight, weigh, weighted_count, without_left_out
from likelihead.errors import DTypeError
from likelihead.guard.check import check_call
from likelihead.guard.switch import current
from likelihead.kernels.dispatch import sigmoid_loss, sigmoid_nll
from likelihead.kernels.ops import check_label_smoothing, sigmoid_count, sigmoid_valid
from likelihead.likelihoods.base import Likelihood, given
from likelihead.likelihoods.checks import (
    can_read,
    check_in_domain,
    check_same_shape,
    check_tensor,
    check_weight,
    is_settled,
    reduces_at_once,
)
from likelihead.likelihoods.counts import seen_or
from likelihead.likelihoods.decisions import check_cost, check_threshold, least_cost, refuse_both
from likelihead.likelihoods.divergence import entropy_terms, kl_terms

__all__ = ["BinaryLikelihood"]


class BinaryLikelihood(Likelihood):
    """Independent yes-or-no outcomes, one logit for each, every quantity elementwise.

    Subclasses say how many logits there are and how the options lie along them.
    """

    link: ProbabilityLink = SIGMOID
    target_domain = UNIT_INTERVAL
    weight: Tensor | None
    pos_weight: Tensor | None

    prior: Tensor | None

    def __init__(self, *, reduction: Reduction = "mean", label_smoothing: float = 0.0) -> None:
        super().__init__(reduction=reduction)
        check_label_smoothing(label_smoothing, None, ())
        self.label_smoothing = label_smoothing
        self.register_buffer("weight", None)
        self.register_buffer("pos_weight", None)
        self.register_buffer("prior", None)

    def _smoothed(self, yes: Tensor, prior: Tensor | float | None = None) -> Tensor:
        """Labels, or shares of a yes, drawn towards the prior."""
        if not self.label_smoothing:
            return yes
        half = 0.5 if prior is None else prior
        return yes * (1 - self.label_smoothing) + self.label_smoothing * half

    @property
    def takes_log_probs(self) -> bool:
        """Whether the input is log-probabilities of a yes."""
        return isinstance(self.link, LogLink)

    @property
    def num_labels_or_none(self) -> int | None:
        """The size of dimension 1, or None where the shape is free."""
        return None

    def _along(self, per_label: Tensor, like: Tensor) -> Tensor:
        """An option in the form in which it broadcasts against the logits."""
        return per_label

    def _check_logits(self, logits: Tensor) -> None:
        """Refuse logits that this likelihood cannot take."""
        check_tensor("logits", logits)
        if not logits.is_floating_point():
            raise DTypeError(
                f"logits is {logits.dtype}; expected floating-point values, as a linear layer puts out."
            )

    # -- what it is -------------------------------------------------------------------------------

    def distribution(self, logits: Tensor) -> BernoulliDistribution:
        """The distribution of each yes or no, elementwise."""
        self._check_logits(logits)
        if self.takes_log_probs:
            return BernoulliDistribution(
                logits=self.link.log_inverse(logits) - self.link.log_complement(logits)
            )
        return BernoulliDistribution(logits=at_least_float32(logits))

    def probs(self, logits: Tensor) -> Tensor:
        """The probability of a yes, in the logits' shape, in float32 at least."""
        self._check_logits(logits)
        return self.link.inverse(logits)

    def log_probs(self, logits: Tensor) -> Tensor:
        """The log-probability of a yes, in the logits' shape, in float32 at least."""
        self._check_logits(logits)
        return self.link.log_inverse(logits)

    def predict(
        self, logits: Tensor, *, threshold: float | Tensor | None = None, cost: Tensor | None = None
    ) -> Tensor:
        """1 where the probability of a yes lies above the threshold, else 0.

        Strictly above: a probability that equals its threshold is a 0, as ties go to the lowest index. The
        comparison is ``probs(logits) > threshold``, so a threshold taken from `probs` acts as it reads.
        Without a threshold the more probable outcome is taken, from the logit's sign.

        Args:
            logits: any shape that this likelihood takes.
            threshold: a probability; with labels, also one for each.
            cost: ``[2, 2]``, ``cost[true, predicted]``; with labels, also ``[L, 2, 2]``. Takes the decision
                with the least expected cost.

        Returns:
            int64 zeros and ones in the logits' shape.

        Raises:
            OptionError: both are given, or a threshold is no probability.
        """
        self._check_logits(logits)
        refuse_both(threshold, cost)
        if cost is not None:
            return self._cheapest(logits, cost)
        if threshold is not None:
            probs = self.link.inverse(logits)
            return (probs > check_threshold(threshold, probs, self.num_labels_or_none)).long()
        if self.takes_log_probs:
            return (self.link.log_inverse(logits) > self.link.log_complement(logits)).long()
        return (logits > 0).long()

    def _cheapest(self, logits: Tensor, cost: Tensor) -> Tensor:
        labels = self.num_labels_or_none
        cost = check_cost(cost, ((2, 2),) if labels is None else ((2, 2), (labels, 2, 2)))
        probs = torch.stack([self.link.complement(logits), self.link.inverse(logits)], dim=-1)
        if cost.dim() == 2:
            return least_cost(probs, cost)
        return least_cost(probs.movedim(1, -2), cost).movedim(-1, 1)

    def entropy(self, logits: Tensor) -> Tensor:
        r"""The entropy :math:`-p \log p - (1-p) \log(1-p)`, in nats, elementwise."""
        self._check_logits(logits)
        return entropy_terms(self.link.log_inverse(logits)) + entropy_terms(self.link.log_complement(logits))

    def kl(self, logits_p: Tensor, logits_q: Tensor) -> Tensor:
        r"""The divergence of p from q, :math:`\mathrm{KL}(p \| q)`, in nats, elementwise; never negative."""
        self._check_logits(logits_p)
        check_same_shape(logits_p, logits_q, name="logits_q")
        log, complement = self.link.log_inverse, self.link.log_complement
        p, q = with_spare_digits(logits_p), with_spare_digits(logits_q)
        divergence = kl_terms(log(p), log(q)) + kl_terms(complement(p), complement(q))
        return divergence.to(at_least_float32(logits_p).dtype)

    # -- how well it fits -------------------------------------------------------------------------

    def _check(
        self, logits: Tensor, target: Tensor, mask: Tensor | None, sample_weight: Tensor | None = None
    ) -> None:
        self._check_logits(logits)
        check_same_shape(logits, target)
        if target.is_complex():
            raise DTypeError(f"target is {target.dtype}; expected 0 and 1, or probabilities.", code="LH202")
        if mask is not None:
            check_same_shape(logits, mask, name="mask")
            if mask.dtype != torch.bool:
                raise DTypeError(f"mask is {mask.dtype}; expected torch.bool, True where a label is scored.")
        check_weight(sample_weight, logits.shape)
        if sample_weight is not None:
            # What the values of an example of weight 0 are does not matter.
            mask = _and_weighted(mask, sample_weight, logits)
        if self.takes_log_probs:
            check_call("nll", logits, None, default_action="raise")
            if can_read(target) and current().level == "full":
                check_in_domain(
                    target, self.target_domain, mask=sigmoid_valid(target, mask=mask), code="LH207"
                )
            return
        check_call(
            "bce_with_logits",
            logits,
            target,
            default_action="raise",
            weight=self.weight,
            pos_weight=self.pos_weight,
            mask=mask,
            nan_target_is_missing=True,
        )

    def nll(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        r"""Negative log-likelihood of each yes or no, in nats, with every option applied.

        .. math:: w\,\bigl[-\pi\,y \log p - (1-y) \log(1-p)\bigr]

        with :math:`w` the weight and :math:`\pi` the ``pos_weight``. A NaN label, and one whose ``mask`` is
        False, scores 0 with gradient 0, and so does an example whose ``sample_weight`` is 0.

        Shape:
            - logits, target, mask: the same shape.
            - returns: that shape, float32 at least.

        Raises:
            ShapeError: the shapes differ: they would broadcast (LH302); or the ``sample_weight`` is not one
                number per example (LH603).
            MisuseError: the input is no logits: it came out of a sigmoid (LH106) or a softmax (LH107).
        """
        self._check(logits, target, mask, sample_weight)
        if not self.takes_log_probs:
            options = self._options(logits)
            return sigmoid_nll(logits, target, mask=mask, sample_weight=sample_weight, **options)
        logits, target = (without_left_out(x, sample_weight) for x in (logits, target))
        # An outcome with no share of the target contributes nothing, however improbable it is.
        of_yes, of_no = self._shares(logits, target, mask)
        log_p = at_least_float32(logits)
        if sample_weight is not None:
            # A log-probability of 0, for one that is left out, would make a no infinitely improbable.
            counting = expand_sample_weight(sample_weight.detach(), log_p) != 0
            log_p = torch.where(counting, log_p, -1.0)
        safe = torch.where(of_no == 0, torch.full_like(log_p, -1.0), log_p)
        yes = of_yes * torch.where(of_yes == 0, torch.zeros_like(log_p), log_p)
        return weigh(-(yes + of_no * self.link.log_complement(safe)), sample_weight)

    def _shares(self, logits: Tensor, target: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """How much a yes and a no weigh in each NLL, in the logits' shape; 0 where nothing is scored."""
        dtype = at_least_float32(logits).dtype
        prior = None if self.prior is None else self._along(self.prior.to(dtype), logits)
        y = self._smoothed(target.to(dtype), prior)
        valid = sigmoid_valid(target, mask=mask)
        if valid is None:
            yes, no = y, 1 - y
        else:
            y = torch.where(valid, y, torch.zeros_like(y))
            yes, no = y, torch.where(valid, 1 - y, torch.zeros_like(y))
        if self.pos_weight is not None:
            yes = yes * self._along(self.pos_weight.to(dtype), logits)
        if self.weight is not None:
            weight = self._along(self.weight.to(dtype), logits)
            yes, no = yes * weight, no * weight
        return yes, no

    def count(
        self, target: Tensor, *, mask: Tensor | None = None, sample_weight: Tensor | None = None
    ) -> Tensor | int:
        """The number of labels that are scored, whatever their weights, as in ``BCEWithLogitsLoss``.

        With ``sample_weight`` each counts as its example's weight.
        """
        if sample_weight is None:
            return sigmoid_count(target, mask=mask)
        check_weight(sample_weight, target.shape)
        return weighted_count(sigmoid_valid(target, mask=mask), sample_weight, target.shape)

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
        normalizer: Normalizer | None = None,
    ) -> Tensor:
        """`nll`, reduced. The mean divides by the number of labels that are scored.

        Args:
            logits: what the head puts out.
            target: 0 and 1, or probabilities; NaN where a label is missing.
            mask: False where a label is left out.
            sample_weight: one number per example, or one per label; see `Likelihood.forward`.
            normalizer: a number or 0-d tensor that replaces `count` under ``reduction="mean"``.
        """
        # A subclass with another nll or count has another mean.
        ours = type(self).nll is BinaryLikelihood.nll and type(self).count is BinaryLikelihood.count
        ours = ours and not self.takes_log_probs
        if ours and reduces_at_once(logits, target, self.reduction, normalizer):
            self._check(logits, target, mask, sample_weight)
            loss = sigmoid_loss(
                logits,
                target,
                mask=mask,
                sample_weight=sample_weight,
                reduction=self.reduction,
                normalizer=normalizer,
                **self._options(logits),
            )
            if is_settled(loss, self.reduction):
                return loss
        weights = given(sample_weight)
        nll = self.nll(logits, target, mask=mask, **weights)
        count = self.count(target, mask=mask, **weights)
        return self._reduce(nll, count, normalizer, logits, target, sample_weight)

    def _options(self, logits: Tensor) -> dict[str, Any]:
        return {
            "weight": None if self.weight is None else self._along(self.weight, logits),
            "pos_weight": None if self.pos_weight is None else self._along(self.pos_weight, logits),
            "label_smoothing": self.label_smoothing,
            "prior": None if self.prior is None else self._along(self.prior, logits),
        }

    def residual(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        r"""The gradient of ``nll(logits, target).sum()``: :math:`p - y`, with every option applied.

        .. math:: w\,\bigl[(1-y)\,\sigma(z) - \pi\,y\,\sigma(-z)\bigr]

        For log-probabilities :math:`a = \log p` it is :math:`w\,[(1-y)\,p / (1-p) - \pi y]`.

        Returns:
            The logits' shape, float32 at least; 0 where nothing is scored.
        """
        self._check(logits, target, mask, sample_weight)
        dtype = at_least_float32(logits).dtype
        logits, target = (without_left_out(x, sample_weight) for x in (logits, target))
        wide = with_spare_digits(logits)
        of_yes, of_no = self._shares(wide, target, mask)
        if self.takes_log_probs:
            odds = torch.exp(wide - self.link.log_complement(wide))
            gradient = torch.where(of_no == 0, torch.zeros_like(odds), of_no * odds) - of_yes
        else:
            gradient = of_no * self.link.inverse(wide) - of_yes * self.link.complement(wide)
            gradient = torch.where((of_yes == 0) & (of_no == 0), torch.zeros_like(gradient), gradient)
        return weigh(gradient, sample_weight).to(dtype)

    # -- the best constant prediction: the summary is [..., 2], the shares of no and of yes -------

    def _shares_of_loss(self, summary: Tensor) -> Tensor:
        """The summary, ``[..., 2]``, of labels that are drawn towards their prior."""
        if not self.label_smoothing:
            return summary
        total = summary.sum(-1)
        prior = 0.5 if self.prior is None else self.prior.to(summary)
        yes = self._smoothed(summary[..., 1], total * prior)
        return torch.stack([total - yes, yes], dim=-1)

    def _baseline(self, summary: Tensor) -> Tensor:
        shares = self._shares_of_loss(summary).clone()
        if self.pos_weight is not None:
            shares[..., 1] *= self.pos_weight.to(summary)
        nll = -torch.special.xlogy(shares, shares / shares.sum(-1, keepdim=True).clamp_min(_TINY)).sum(-1)
        if self.weight is not None:
            nll = nll * self.weight.to(nll)
        baseline: Tensor = nll.sum() / summary.sum().clamp_min(_TINY)
        return baseline

    def _best_bias(self, summary: Tensor, smoothing: float) -> Tensor:
        no, yes = self._shares_of_loss(seen_or(summary, smoothing)).unbind(-1)
        if self.pos_weight is not None:
            # Of weight 0 a yes is never scored: any bias is best, and its frequency is a finite one.
            yes = yes * torch.where(self.pos_weight == 0, 1, self.pos_weight).to(yes)
        return (yes.log() - no.log()).flatten()


def _and_weighted(mask: Tensor | None, sample_weight: Tensor, like: Tensor) -> Tensor:
    """The mask without the examples of weight 0."""
    weighted = expand_sample_weight(sample_weight.detach(), like) != 0
    return weighted.expand_as(like) if mask is None else mask & weighted


_TINY = torch.finfo(torch.float64).tiny
