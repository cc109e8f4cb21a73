"""`torch.nn.functional.multilabel_soft_margin_loss`: Bernoulli likelihoods averaged over the labels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import multilabel_soft_margin_loss as torchs_multilabel_soft_margin_loss

from likelihead.core.devices import check_dense, check_devices
from likelihead.core.reduction import Normalizer, check_reduction
from likelihead.core.reduction import reduce as reduce_values
from likelihead.core.sample_weight import weighted_count
from likelihead.functional._call import (
    broadcasts_to,
    is_real,
    is_tensor,
    legacy_reduction,
    overridable,
    promoted,
    result_dtype,
    torchs_answer,
)
from likelihead.functional._sample_weight import checked_weight
from likelihead.guard.check import check_call
from likelihead.kernels import dispatch
from likelihead.kernels.ops import as_prior, check_label_smoothing

__all__ = ["multilabel_soft_margin_loss"]


@overridable
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    normalizer: Normalizer | None = None,
    label_smoothing: float = 0.0,
    prior: float | Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    r"""The mean over the labels of the binary cross-entropy of logits, in nats.

    .. math:: \ell(x, t) = \frac1L \sum_{l=1}^{L} w_l\,[t_l\operatorname{softplus}(-x_l)
              + (1 - t_l)\operatorname{softplus}(x_l)]

    Arguments, defaults, dtypes, shapes and errors are those of
    `torch.nn.functional.multilabel_soft_margin_loss`; the accuracy is that of
    `binary_cross_entropy_with_logits`.

    Args:
        input: logits, labels last.
        target: 0 or 1 for each label.
        weight: a weight per label.
        size_average: deprecated in torch; see ``reduction``.
        reduce: deprecated in torch; see ``reduction``.
        reduction: ``"none"``, ``"sum"`` or ``"mean"`` over the examples.
        normalizer: a number or 0-d tensor that the mean divides by instead of the number of examples.
        label_smoothing: how far each label is drawn towards its ``prior``, in [0, 1]: t becomes
            ``(1 - label_smoothing) * t + label_smoothing * prior``.
        prior: what the labels are drawn towards: a probability, or a tensor of one for each label, which
            broadcasts against the input; None is a half. The labels' own frequencies leave their mean alone.
        sample_weight: a number per example, not negative, that multiplies its loss and what it counts: of the
            shape ``[...]``, or as many of its first dimensions as it tells apart. One of 0 leaves the
            example out.

    Shape:
        - input, target: ``[..., L]``.
        - returns: ``[...]`` for ``"none"``, else 0-d.

    Raises:
        ValueError, RuntimeError: as torch does, with the guard's explanation where it has one.

    >>> multilabel_soft_margin_loss(torch.tensor([[0.0, 30.0]]), torch.tensor([[1.0, 1.0]]))
    tensor(0.3466)
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_devices(
        "input", input, scalars=("weight", "normalizer"), target=target, weight=weight, normalizer=normalizer
    )
    served = (
        is_real(input)
        and is_tensor(target)
        and not target.is_complex()
        and target.dtype != torch.bool
        and input.dim() >= 1
        and input.shape[-1] > 0
        and target.device == input.device
        and broadcasts_to(target, input)
        and broadcasts_to(weight, input)
        and reduction in ("none", "sum", "mean")
    )
    if not served:
        return torchs_answer(
            torchs_multilabel_soft_margin_loss,
            "multilabel_soft_margin",
            input,
            target,
            weight=weight,
            reduction=reduction,
            ours={
                "normalizer": normalizer,
                "label_smoothing": label_smoothing,
                "prior": None if prior is None else True,
                "sample_weight": None if sample_weight is None else True,
            },
        )
    check_reduction(reduction, normalizer)
    check_label_smoothing(label_smoothing, prior, input.shape)
    sample_weight = checked_weight(sample_weight, input.shape[:-1])
    check_call(
        "multilabel_soft_margin",
        input,
        target,
        default_action="warn",
        weight=weight,
        sample_weight=sample_weight,
    )
    check_dense(target=target)  # before it is expanded
    dtype = promoted(result_dtype(input, one_op=False), target, weight)
    input = input.to(promoted(input.dtype, target, weight))
    per_label = dispatch.sigmoid_nll(
        input,
        target.expand_as(input),
        weight=weight,
        skip_nan_target=False,
        label_smoothing=label_smoothing,
        prior=as_prior(prior, input),
        sample_weight=sample_weight,
    )
    count = None if sample_weight is None else weighted_count(None, sample_weight, input.shape[:-1])
    return reduce_values(per_label.mean(-1), reduction, count=count, normalizer=normalizer).to(dtype)
