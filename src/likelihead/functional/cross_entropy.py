"""`torch.nn.functional.cross_entropy`, by the categorical likelihood."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy as torchs_cross_entropy

from likelihead.core.devices import check_devices
from likelihead.core.overwritten import note_same_memory, will_overwrite
from likelihead.core.reduction import Normalizer, check_reduction
from likelihead.core.reduction import reduce as reduce_values
from likelihead.errors import OptionError
from likelihead.functional._call import (
    in_dtype,
    is_class_index,
    is_real,
    is_tensor,
    legacy_reduction,
    overridable,
    promoted,
    result_dtype,
    torchs_answer,
)
from likelihead.functional._class_index import blame_target, fits_classes
from likelihead.functional._plain import plain_cross_entropy
from likelihead.functional._sample_weight import checked_weight
from likelihead.guard.check import check_call
from likelihead.kernels import dispatch
from likelihead.kernels.ops import check_class_mask, check_softmax_options

__all__ = ["cross_entropy", "is_served"]

_SPARSE = (
    torch.sparse_coo,
    torch.sparse_csr,
    torch.sparse_csc,
    torch.sparse_bsr,
    torch.sparse_bsc,
)


@partial(overridable, short=plain_cross_entropy)
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    normalizer: Normalizer | None = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    logit_offset: Tensor | None = None,
    where: Tensor | None = None,
    sample_weight: Tensor | None = None,
    inplace_backward: bool = False,
) -> Tensor:
    r"""Cross-entropy of logits against class indices or class probabilities, in nats.

    .. math:: \ell(x, y) = w_y\,\bigl[\operatorname{logsumexp}(x) - x_y\bigr]

    Arguments, defaults, dtypes, shapes and errors are those of `torch.nn.functional.cross_entropy`; the
    value keeps its relative accuracy where the model is confident and right, where torch's rounds to zero.

    Args:
        input: logits.
        target: class indices (int64, int32, int16, int8 or uint8), or probabilities of the input's shape.
        weight: a weight per class.
        size_average: deprecated in torch; see ``reduction``.
        ignore_index: the class index whose rows score 0 and are not counted.
        reduce: deprecated in torch; see ``reduction``.
        reduction: ``"none"``, ``"sum"`` or ``"mean"``. The mean of index targets divides by the sum of
            ``weight[target]`` over the rows that count; that of probability targets by the number of rows.
        label_smoothing: the share of each target that is spread evenly over all classes, in [0, 1].
        normalizer: a number or 0-d tensor that the mean divides by instead.
        z_loss: adds ``z_loss * logsumexp(x) ** 2`` to each row that counts.
        softcap: replaces the logits by ``softcap * tanh(x / softcap)``.
        logit_offset: a tensor of one number per class, added to the logits (after ``softcap``).
        where: False for a class that the example cannot have: its probability is 0 and so is its gradient,
            whatever its logit; label smoothing is spread over the others. A target that cannot be has an
            infinite loss (LH208); an example that can have no class has none, and NaN comes instead.
        sample_weight: a number per example, not negative, that multiplies its loss; the mean divides by the
            sum of ``sample_weight * weight[target]``. A weight of 0 leaves the example out.
        inplace_backward: let the gradient take the memory of the input, which saves that of the gradient, and
            half the time. It is for logits that a model has computed and nobody needs afterwards. The input
            (and the tensor that it is a view of) has no values after the call: whatever reads them, a second
            loss or a metric, with a graph or without, raises RuntimeError, and so does the backward of
            whatever was computed from the input before and has to know its values. There is one backward
            pass, without ``create_graph``. A leaf that requires grad, or a view of one, raises RuntimeError.
            Where other tensors share the memory (a detached copy that is kept for a metric, an output that
            autograd needs) they keep their values, and the gradient has memory of its own. Needs the native
            backend, reduction ``"mean"`` or ``"sum"``, contiguous logits that are not float16, and no
            compiler or transform around it, and raises OptionError without; has no effect where no gradient
            by the input is asked for.

    Shape:
        - input: ``[C]``, ``[N, C]`` or ``[N, C, d1, ...]``.
        - target: ``[]``, ``[N]`` or ``[N, d1, ...]``; or the input's shape.
        - where: the input's shape. sample_weight: ``[N]``, or as much of ``[N, d1, ...]`` as it tells apart.
        - returns: the target's index shape for ``"none"``, else 0-d; the input's dtype.

    Raises:
        IndexError: a class index outside ``[0, C)`` that is not ``ignore_index`` (LH203).
        ShapeError: a mask of another shape; a ``sample_weight`` that is not one number per example (LH603).
        ValueError, RuntimeError: as torch does, with the guard's explanation where it has one.

    >>> cross_entropy(torch.tensor([[20.0, 0.0]]), torch.tensor([0]))
    tensor(2.0612e-09)

    References:
        :doc:`/mathematics`.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    nothing = weight is normalizer is logit_offset is where is sample_weight is None
    if nothing and softcap is None and z_loss == label_smoothing == 0 and not inplace_backward:
        plain = plain_cross_entropy(input, target, ignore_index, reduction)
        if plain is not None:
            return plain
    check_devices(
        "input",
        input,
        scalars=("normalizer",),
        target=target,
        weight=weight,
        logit_offset=logit_offset,
        normalizer=normalizer,
        where=where,
        sample_weight=sample_weight,
    )
    if not is_served(input, target, weight, ignore_index, reduction, label_smoothing):
        return torchs_answer(
            torchs_cross_entropy,
            "cross_entropy",
            input,
            target,
            weight=weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
            ours={
                "normalizer": normalizer,
                "z_loss": z_loss,
                "softcap": softcap,
                "logit_offset": logit_offset,
                "where": None if where is None else True,
                "sample_weight": None if sample_weight is None else True,
                "inplace_backward": inplace_backward,
            },
        )
    check_reduction(reduction, normalizer)
    check_softmax_options(_num_classes(input), z_loss=z_loss, softcap=softcap, logit_offset=logit_offset)
    check_class_mask(where, input.shape)
    sample_weight = checked_weight(
        sample_weight, [*input.shape[:1], *input.shape[2:]] if input.dim() > 1 else []
    )
    check_call(
        "cross_entropy",
        input,
        target,
        default_action="warn",
        weight=weight,
        ignore_index=ignore_index,
        where=where,
        sample_weight=sample_weight,
    )

    given, dtype, dims = input, result_dtype(input), input.dim()
    if target.layout in _SPARSE and target.is_floating_point():
        target = target.to_dense()  # torch takes sparse probabilities
    if target.is_floating_point():
        # Whichever argument is the widest sets the precision, as in torch.
        dtype = promoted(dtype, target, weight)
        input = input.to(promoted(input.dtype, target, weight))
    inplace_backward = will_overwrite(inplace_backward, input)
    if inplace_backward:
        _check_in_place(input, given, reduction)
    single = dims == 1
    if single:
        input, target = input.unsqueeze(0), target.unsqueeze(0)
        note_same_memory(input, given)
        where = None if where is None else where.unsqueeze(0)
        sample_weight = None if sample_weight is None else sample_weight.unsqueeze(0)
    num_classes = input.shape[1]
    if num_classes == 0:
        nll = input.sum(1)  # no row, or torch has refused; keeps the graph
        if reduction != "none":
            return in_dtype(reduce_values(nll, reduction, normalizer=normalizer), dtype)
        return in_dtype(nll.squeeze(0) if single else nll, dtype)
    options: dict[str, Any] = {
        "weight": weight,
        "label_smoothing": label_smoothing,
        "ignore_index": ignore_index,
        "z_loss": z_loss,
        "softcap": softcap,
        "logit_offset": logit_offset,
        "torch_nonfinite": True,
        "where": where,
        "sample_weight": sample_weight,
    }
    try:
        if reduction == "none":
            nll, _ = dispatch.softmax_nll(input, target, **options)
            return in_dtype(nll.squeeze(0) if single else nll, dtype)
        loss = dispatch.softmax_loss(
            input,
            target,
            reduction=reduction,
            normalizer=normalizer,
            inplace_backward=inplace_backward,
            **options,
        )
        return in_dtype(loss, dtype)
    except (IndexError, RuntimeError) as error:
        blame_target(error, target, num_classes, ignore_index)
        raise


def _check_in_place(input: Tensor, given: Tensor, reduction: str) -> None:
    if input is not given:
        raise OptionError(
            f"inplace_backward=True writes over the input, but input is {given.dtype} and is converted to "
            f"{input.dtype} first, to match the target or weight; give them the same dtype, or leave it out."
        )
    if reduction == "none":
        raise OptionError(
            "inplace_backward=True needs reduction 'mean' or 'sum': the gradient is written before the "
            "upstream gradient of each example is known. Leave it out, or reduce."
        )


def _num_classes(input: Tensor) -> int:
    return input.shape[1] if input.dim() > 1 else input.shape[0]


def is_served(
    input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: Any
) -> bool:
    if not (is_real(input) and is_tensor(target) and input.dim() >= 1):
        return False
    if reduction not in ("none", "sum", "mean"):
        return False
    if not isinstance(label_smoothing, (int, float)) or not 0 <= label_smoothing <= 1:
        return False
    if target.dim() == input.dim() and target.shape == input.shape:
        if not target.is_floating_point() or ignore_index >= 0 or _num_classes(input) == 0:
            return False
        return weight is None or (is_real(weight) and tuple(weight.shape) == (_num_classes(input),))
    return is_class_index(target) and fits_classes(input, target, weight)
