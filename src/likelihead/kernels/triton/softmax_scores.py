"""The scores of a head's chunk of logits on a GPU: the function that the torch op calls, and its launch."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from likelihead.errors import ShapeError
from likelihead.kernels.ops import compute_dtype
from likelihead.kernels.triton import flags, softmax_plan
from likelihead.kernels.triton.launch import Device, Launch
from likelihead.kernels.triton.plans import Room, dense, is_one_number, launch
from likelihead.kernels.triton.softmax_scores_kernel import softmax_scores

__all__ = ["softmax_scores_"]


class Tensors(NamedTuple):
    """The tensors of a call; the upstream gradients are one number or one per row, None for nothing."""

    logits: Tensor
    target: Tensor
    nll: Tensor
    lse: Tensor
    entropy: Tensor
    prediction: Tensor | None
    up_nll: Tensor | None
    up_lse: Tensor | None
    up_entropy: Tensor | None


class Numbers(NamedTuple):
    ignore_index: int
    softcap: float


def softmax_scores_(
    grad_nll: Tensor | None,
    grad_lse: Tensor | None,
    grad_entropy: Tensor | None,
    logits: Tensor,
    target: Tensor,
    ignore_index: int,
    softcap: float,
    prediction: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Score each row, and with any upstream gradient make the logits the gradient of their scores.

    The prediction is the first of the largest logits as the softmax has them: what a cap rounds to one number
    is the same to it. Of rows with NaN it is any class.

    Shape:
        - grad_nll, grad_lse, grad_entropy: one number or ``[N]``.
        - logits: ``[N, V]``, contiguous.
        - target: ``[N]``, class indices.
        - returns: nll, lse, entropy and prediction, ``[N]``; the last is empty if it is not asked for.

    Raises:
        ShapeError: logits that are not contiguous rows.
    """
    if logits.dim() != 2 or not logits.is_contiguous():
        raise ShapeError(
            f"logits have shape {list(logits.shape)} and strides {list(logits.stride())}; expected rows "
            "[N, V] that are contiguous, as they may be overwritten (logits.contiguous() makes a copy)."
        )
    nll, lse, entropy = (
        logits.new_empty(logits.shape[0], dtype=compute_dtype(logits.dtype)) for _ in range(3)
    )
    first = logits.new_empty(logits.shape[0] if prediction else 0, dtype=torch.int64)
    ups = (dense(grad_nll), dense(grad_lse), dense(grad_entropy))
    tensors = Tensors(logits, target.contiguous(), nll, lse, entropy, first if prediction else None, *ups)
    launch(plan, tensors, Numbers(ignore_index, softcap))
    return nll, lse, entropy, first


def plan(tensors: Tensors, numbers: Numbers, device: Device, room: Room) -> list[Launch]:
    """The one launch of a call."""
    logits, target, nll, lse, entropy, prediction, *ups = tensors
    rows, classes = logits.shape
    capped = numbers.softcap > 0
    strides = (0, 0, classes, 1)
    layout = softmax_plan.Layout(1, 1, rows, classes, (strides, (0, 0, 0, 0), strides))
    tile, row = softmax_plan.streamed_constexprs(layout, logits.element_size(), int(capped), device)
    del tile["SHIFTED"]  # which follows from the classes
    # A row that a few warps hold has no more; and as many threads are on a multiprocessor as of long rows.
    of_warp = tile["LANES"] * tile["VECTOR"] // row.num_warps
    num_warps = min(row.num_warps, 1 << (-(-classes // of_warp) - 1).bit_length())
    tile["LANES"] = tile["LANES"] * num_warps // row.num_warps
    at_once = row.programs_per_multiprocessor * row.num_warps // num_warps
    counter, slots = room.reports
    arguments = (
        logits,
        target,
        nll,
        lse,
        entropy,
        prediction,
        *ups,
        counter,
        slots,
        flags.register(target.shape, classes, numbers.ignore_index),
        classes,
        rows,
        *(int(up is not None and not is_one_number(up)) for up in ups),
        numbers.ignore_index,
        numbers.softcap,
    )
    constexprs: dict[str, Any] = {"CAPPED": capped, "SIZE_UNIT": math.gcd(softmax_plan.UNIT, classes), **tile}
    programs = min(rows, at_once * device.multiprocessors)
    return [Launch(softmax_scores, (programs,), arguments, constexprs, num_warps=num_warps)]
