"""What a categorical likelihood refuses of a call, and what it shows the guard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from likelihead.core.sample_weight import expand_sample_weight, without_left_out
from likelihead.guard.check import check_call
from likelihead.kernels.ops import check_class_mask
from likelihead.likelihoods.checks import check_class_logits, check_class_target, check_weight

if TYPE_CHECKING:
    from likelihead.likelihoods.categorical import Categorical

__all__ = ["checked_target"]


def checked_target(
    likelihood: Categorical,
    logits: Tensor,
    target: Tensor,
    sample_weight: Tensor | None,
    where: Tensor | None,
) -> Tensor:
    """The target of a call that can be scored; class indices come back as int64."""
    check_class_logits(
        logits, likelihood.num_classes, name="log_probs" if likelihood.takes_log_probs else "logits"
    )
    check_class_target(target, logits.shape, likelihood.target_domain)
    check_class_mask(where, logits.shape)
    check_weight(sample_weight, [*logits.shape[:1], *logits.shape[2:]])
    known, counting = target, None
    if sample_weight is not None:
        # What an example of weight 0 holds does not matter.
        over_classes = sample_weight.detach().unsqueeze(1)
        counting = expand_sample_weight(over_classes, logits) != 0
        known = without_left_out(target, over_classes)
    check_call(
        "nll" if likelihood.takes_log_probs else "cross_entropy",
        logits,
        known,
        default_action="raise",
        num_classes=likelihood.num_classes,
        weight=likelihood.weight,
        ignore_index=likelihood.ignore_index,
        mask=counting,
        where=where,
        sample_weight=sample_weight,
    )
    return target if target.is_floating_point() else target.long()
