"""`torch.nn.functional.nll_loss`: the categorical likelihood of ready log-probabilities."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import nll_loss as torchs_nll_loss

from likelihead.core.devices import check_devices
from likelihead.core.reduction import Normalizer, check_reduction
from likelihead.core.reduction import reduce as reduce_values
from likelihead.core.sample_weight import weigh
from likelihead.functional._call import (
    is_class_index,
    is_real,
    is_tensor,
    legacy_reduction,
    overridable,
    result_dtype,
    torchs_answer,
)
from likelihead.functional._class_index import blame_target, fits_classes
from likelihead.functional._sample_weight import checked_weight
from likelihead.guard.check import check_call
from likelihead.kernels.ops import compute_dtype, softmax_count

__all__ = ["nll_loss"]


@overridable
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    normalizer: Normalizer | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    r"""Negative log-likelihood of class indices under log-probabilities, in nats.

    .. math:: \ell(\log p, y) = -w_y \log p_y

    Arguments, defaults, dtypes, shapes and errors are those of `torch.nn.functional.nll_loss`. The input is
    what ``log_softmax`` returns, or any other normalised log-probabilities (a mixture model's, say); raw
    logits give a wrong number, which the guard reports where it can know (LH105).

    Args:
        input: log-probabilities.
        target: class indices (int64, int32, int16, int8 or uint8).
        weight: a weight per class.
        size_average: deprecated in torch; see ``reduction``.
        ignore_index: the class index whose rows score 0 and are not counted.
        reduce: deprecated in torch; see ``reduction``.
        reduction: ``"none"``, ``"sum"`` or ``"mean"``, which divides by the sum of ``weight[target]`` over
            the rows that count.
        normalizer: a number or 0-d tensor that the mean divides by instead.
        sample_weight: a number per example, not negative, that multiplies its loss and what it counts. One of
            0 leaves the example out.

    Shape:
        - input: ``[C]``, ``[N, C]`` or ``[N, C, d1, ...]``.
        - target: ``[]``, ``[N]`` or ``[N, d1, ...]``.
        - returns: the target's shape for ``"none"``, else 0-d; the input's dtype.

    Raises:
        IndexError: a class index outside ``[0, C)`` that is not ``ignore_index`` (LH203).
        ValueError, RuntimeError: as torch does, with the guard's explanation where it has one.

    >>> nll_loss(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([0]))
    tensor(1.3863)
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_devices(
        "input", input, scalars=("normalizer",), target=target, weight=weight, normalizer=normalizer
    )
    served = (
        is_real(input)
        and is_tensor(target)
        and input.dim() >= 1
        and reduction in ("none", "sum", "mean")
        and is_class_index(target)
        and fits_classes(input, target, weight)
    )
    if not served:
        return torchs_answer(
            torchs_nll_loss,
            "nll",
            input,
            target,
            weight=weight,
            ignore_index=ignore_index,
            reduction=reduction,
            ours={"normalizer": normalizer, "sample_weight": None if sample_weight is None else True},
        )
    check_reduction(reduction, normalizer)
    sample_weight = checked_weight(sample_weight, target.shape)
    check_call(
        "nll",
        input,
        target,
        default_action="warn",
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        sample_weight=sample_weight,
    )

    dtype, wide = result_dtype(input), compute_dtype(input.dtype)
    single = input.dim() == 1
    if single:
        input, target = input.unsqueeze(0), target.unsqueeze(0)
        sample_weight = None if sample_weight is None else sample_weight.unsqueeze(0)
    classes = target.long()
    kept = classes != ignore_index
    index = torch.where(kept, classes, 0)
    wide_weight = None if weight is None else weight.to(wide)
    if input.shape[1] == 0:
        nll = input.sum(1).to(wide)  # no row, or torch has refused; keeps the graph
    else:
        try:
            # Only the picked entries are widened: the log-probabilities are not copied.
            nll = -_twice_differentiable(input.gather(1, index.unsqueeze(1)).squeeze(1).to(wide))
        except (IndexError, RuntimeError) as error:
            blame_target(error, target, input.shape[1], ignore_index)
            raise
        if wide_weight is not None:
            nll = nll * wide_weight[index]
        nll = weigh(torch.where(kept, nll, 0), sample_weight)
    if reduction == "none":
        return (nll.squeeze(0) if single else nll).to(dtype)
    count = None
    if reduction == "mean" and normalizer is None:
        count = softmax_count(
            classes,
            input.shape[1],
            weight=wide_weight,
            ignore_index=ignore_index,
            sample_weight=sample_weight,
        )
    return reduce_values(nll, reduction, count=count, normalizer=normalizer).to(dtype)


def _twice_differentiable(picked: Tensor) -> Tensor:
    """The same values, with the second derivative that torch's loss has: 0, where a picked entry has none."""
    if not (picked.requires_grad and torch.is_grad_enabled()):
        return picked
    # Cut off on both sides, so that nothing infinite meets the 0 on its way.
    nothing = torch.where(torch.zeros_like(picked, dtype=torch.bool), picked, 0)
    return picked + nothing.square()
