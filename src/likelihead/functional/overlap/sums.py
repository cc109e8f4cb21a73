r"""The sums that an overlap is made of: for each class, what of it was found, missed, and found elsewhere.

.. math:: TP = \sum_i w_i\,p_i t_i, \quad FP = \sum_i w_i\,p_i (1 - t_i), \quad
          FN = \sum_i w_i\,(1 - p_i)\,t_i

FP and FN are summed on their own, from a ``1 - p`` that has all of its digits, and not taken as differences
of large sums: the loss of a nearly perfect prediction keeps its last digit. Since TP is ``sum(w t) - FN``,
its derivative is that of -FN.

Ordinary calls go through a function of their own that takes the images in pieces, holds nothing of the
input's size but the gradient, and adds the pieces in float64. Where a transform, a compiler or a second
derivative asks for operations that can be differentiated, `sums_of` computes all at once; it is also the
definition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from likelihead.functional.overlap.pixels import Pixels, clean, one_hot
from likelihead.kernels.ops import compute_dtype

__all__ = ["Sums", "link", "overlap_sums", "wide_dtype"]

# Elements taken at a time: a few temporaries of this size stay in a core's caches, or fill an accelerator.
_PIECE = 1 << 19
_PIECE_ON_ACCELERATORS = 1 << 24
_PLAIN = (torch.Tensor, torch.nn.Parameter)


class Sums(NamedTuple):
    """For each image or the batch as one, and each class: ``[G, C]``.

    Attributes:
        tp, fp, fn: see this module.
        total: what there is of the class, ``sum(w t)``.
    """

    tp: Tensor
    fp: Tensor
    fn: Tensor
    total: Tensor


def overlap_sums(pixels: Pixels, per_image: bool) -> Sums:
    """The sums of a batch, in float64 where the device has it."""
    if _is_ordinary(pixels):
        fp, fn, tp, total = _Sums.apply(  # type: ignore[no-untyped-call]
            pixels.input, pixels.target, pixels.valid, pixels.weight, pixels.link, per_image
        )
    else:
        fp, fn, tp, total = sums_of(
            pixels.input, pixels.target, pixels.valid, pixels.weight, pixels.link, per_image
        )
    through = total - fn
    return Sums(tp.detach() + (through - through.detach()), fp, fn, total)


def sums_of(
    input: Tensor,
    target: Tensor,
    valid: Tensor,
    weight: Tensor | None,
    link_name: str,
    per_image: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """FP, FN, TP and the total by torch's operations."""
    values = clean(input, valid)
    share = one_hot(target, input.shape[1], values.dtype)
    p, q = link(values, link_name)
    if weight is None:
        off, missed, found = p * (1 - share), q * share, p * share
        off = torch.where(valid, off, torch.zeros_like(off))
    else:
        # In the weight's dtype, if it is wider. A missing pixel weighs 0, and so does its share.
        share = share * weight
        off, missed, found = p * (weight - share), q * share, p * share
    dims = [2] if per_image else [0, 2]
    wide = wide_dtype(input)
    fp, fn, tp, total = (x.sum(dims).to(wide) for x in (off, missed, found, share))
    if not per_image:
        fp, fn, tp, total = (x.unsqueeze(0) for x in (fp, fn, tp, total))
    return fp, fn, tp, total


def link(values: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """The probability of each class and of its absence, ``p`` and ``1 - p``, both to the last digit."""
    if name == "identity":
        return values, 1 - values
    if name == "sigmoid":
        return torch.sigmoid(values), torch.sigmoid(-values)
    p = torch.softmax(values, 1)
    top = p.detach().argmax(1, keepdim=True)
    rest = p.scatter(1, top, torch.zeros_like(p[:, :1])).sum(1, keepdim=True)
    return p, (1 - p).scatter(1, top, rest)


def wide_dtype(like: Tensor) -> torch.dtype:
    """Float64, where the device has it."""
    return torch.float32 if like.device.type == "mps" else torch.float64


def _is_ordinary(pixels: Pixels) -> bool:
    """Whether nobody asks for more than values and first derivatives by the input."""
    tensors = [t for t in (pixels.input, pixels.target, pixels.valid, pixels.weight) if t is not None]
    return (
        not torch.compiler.is_compiling()
        and all(type(t) in _PLAIN for t in tensors)
        and not any(t.requires_grad for t in tensors[1:])
        and not torch._C._are_functorch_transforms_active()
        and torch._C._get_tracing_state() is None
        and forward_ad._current_level < 0
    )


class _Sums(torch.autograd.Function):
    """`sums_of` in pieces."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        target: Tensor,
        valid: Tensor,
        weight: Tensor | None,
        link_name: str,
        per_image: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        n, c, _ = input.shape
        sums = input.new_zeros((4, n if per_image else 1, c), dtype=wide_dtype(input))
        for piece in _pieces(input):
            cut = _cut(piece, input, target, valid, weight)
            one_class = link_name == "softmax" and target.dim() == 2 and input.device.type == "cpu"
            parts = _sums_by_class(*cut, per_image) if one_class else sums_of(*cut, link_name, per_image)
            (sums[:, piece[0]] if per_image else sums).add_(torch.stack(parts))
        ctx.save_for_backward(input, target, valid, weight)
        ctx.link_name = link_name
        fp, fn, tp, total = sums.unbind(0)
        ctx.mark_non_differentiable(tp, total)
        return fp, fn, tp, total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        fp, fn = grads[:2]
        if fp is None or fn is None or not ctx.needs_input_grad[0]:
            return (None,) * 6
        input, target, valid, weight = ctx.saved_tensors
        if torch.is_grad_enabled() or _is_batched(fp):
            # A second derivative, or several first ones at once: nothing is written in place.
            return (_slope(input, target, valid, weight, ctx.link_name, fp, fn), *(None,) * 5)
        grad = torch.empty_like(input)
        for piece in _pieces(input):
            rows, places = piece
            one = fp.shape[0] == 1
            grad[rows, :, places] = _slope(
                *_cut(piece, input, target, valid, weight),
                ctx.link_name,
                fp if one else fp[rows],
                fn if one else fn[rows],
            )
        return (grad, *(None,) * 5)


def _sums_by_class(
    input: Tensor, target: Tensor, valid: Tensor, weight: Tensor | None, per_image: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`sums_of` for logits and class indices, in few passes: most terms are of one class for each pixel.

    On the CPU alone, where counting into bins goes from first to last, in float64. What a pixel holds stays
    within it, so that a missing one may have any probabilities until they are replaced.
    """
    n, c, _ = input.shape
    p = torch.softmax(input.to(compute_dtype(input.dtype)), 1)
    everywhere = bool(valid.all())
    if not everywhere:
        p.masked_fill_(~valid, 0)
    at = target if everywhere else target.clamp_min(0)
    index = at.unsqueeze(1)
    found = p.gather(1, index).squeeze(1)
    p.scatter_(1, index, 0)
    missed = p.sum(1)
    if weight is not None:
        p, found, missed = p * weight, found * weight[:, 0], missed * weight[:, 0]
        present = weight[:, 0]
    else:
        present = valid[:, 0]
    groups, bins = (n, at + c * torch.arange(n).unsqueeze(1)) if per_image else (1, at)
    bins = bins.flatten()
    fn, tp, total = (
        torch.bincount(bins, x.flatten().double(), groups * c).view(groups, c)
        for x in (missed, found, present)
    )
    return p.sum([2] if per_image else [0, 2]).view(groups, c).double(), fn, tp, total


def _is_batched(grad: Tensor) -> bool:
    """Whether it stands for several gradients (``is_grads_batched``), which no storage of one can take."""
    functorch = torch._C._functorch
    return bool(functorch.is_legacy_batchedtensor(grad) or functorch.is_functorch_wrapped_tensor(grad))


def _slope(
    input: Tensor,
    target: Tensor,
    valid: Tensor,
    weight: Tensor | None,
    link_name: str,
    fp: Tensor,
    fn: Tensor,
) -> Tensor:
    """The derivative by the input, from those by FP and FN, ``[G, C]``."""
    # What a pixel holds stays within it: only derivatives of what is here carry a NaN on that was replaced.
    values = clean(input, valid) if torch.is_grad_enabled() else input.to(compute_dtype(input.dtype))
    of_target = fn.to(values.dtype)
    fp, fn = fp.unsqueeze(2).to(values.dtype), of_target.unsqueeze(2)
    if link_name == "softmax":
        p = torch.softmax(values, 1)
        # Relative to that of the target's class, so that nothing cancels where it is nearly certain.
        if target.dim() == 2:
            index = target.clamp_min(0)
            slope = fp + of_target.expand(input.shape[0], -1).gather(1, index).unsqueeze(1)
            slope = slope.scatter(1, index.unsqueeze(1), torch.zeros_like(slope[:, :1]))
        else:
            share = target.to(values.dtype)
            slope = fp * (1 - share) - fn * share
            slope = slope - slope.gather(1, share.argmax(1, keepdim=True))
        slope = p * (slope - (p * slope).sum(1, keepdim=True))
    else:
        share = one_hot(target, input.shape[1], values.dtype)
        slope = fp * (1 - share) - fn * share
        if link_name == "sigmoid":
            slope = slope * torch.sigmoid(values) * torch.sigmoid(-values)
    if weight is not None:
        slope = slope * weight.to(values.dtype)
    return torch.where(valid, slope, torch.zeros_like(slope)).to(input.dtype)


Piece = tuple[slice, slice]


def _pieces(input: Tensor) -> Iterator[Piece]:
    """Images, and places within an image, of no more elements than are taken at a time."""
    n, c, s = input.shape
    most = _PIECE if input.device.type == "cpu" else _PIECE_ON_ACCELERATORS
    if c * s > most:
        step = max(1, most // c)
        for row in range(n):
            for first in range(0, s, step):
                yield slice(row, row + 1), slice(first, min(first + step, s))
    elif s:
        rows = max(1, most // max(1, c * s))
        for row in range(0, n, rows):
            yield slice(row, min(row + rows, n)), slice(0, s)


def _cut(
    piece: Piece, input: Tensor, target: Tensor, valid: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    rows, places = piece
    return (
        input[rows, :, places],
        target[rows, places] if target.dim() == 2 else target[rows, :, places],
        valid[rows, :, places],
        None if weight is None else weight[rows, :, places],
    )
