r"""A head and its softmax, chunk after chunk of tokens: what is computed, without how it is differentiated.

A chunk is one product into a buffer that all chunks share, the backend's softmax kernel in place, and one
product for each gradient that is wanted. The products are the vendor's. On a processor tokens that are left
out (ignored, or of weight 0) leave before the products; elsewhere to know how many they are would mean to
wait for the device.

The gradient of the head is summed over the chunks in float32, whatever the dtype. Where no product of 16-bit
numbers into float32 is to be had (``out_dtype`` is CUDA's alone) a chunk's part is rounded once, to the dtype
of the products, and added in float32: as much as the rounding of the logits' gradients, which are that
product's factors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from likelihead.kernels.fused.calls import index_error_at
from likelihead.kernels.fused.products import HeadGradient, is_small, logits_of, new_buffer, times_head
from likelihead.kernels.ops import compute_dtype

__all__ = ["SOFTMAX", "Head", "Result", "Softmax", "Upstream", "chunk_rows", "looks", "rows_at_once", "run"]


def _never(device: torch.device) -> None:
    return None


class Softmax(NamedTuple):
    """What a backend does with the logits of a chunk; ``options`` are in the order of the ops.

    ``scores`` and ``kl`` are asked for the ops ``softmax_scores_`` and ``softmax_kl_`` on a device, and
    answer None where the backend has no kernel.
    """

    values: Callable[..., tuple[Tensor, Tensor]]  # (logits, target, *options)
    gradient_: Callable[..., tuple[Tensor, Tensor]]  # (grad_nll, grad_lse, scale, logits, target, *options)
    scores: Callable[[torch.device], Callable[..., Any] | None] = _never
    kl: Callable[[torch.device], Callable[..., Any] | None] = _never


SOFTMAX: dict[str, Softmax] = {}
"""By the backend's name; dispatch fills it in."""


class Head(NamedTuple):
    """A head, what it is applied to and scored against, in the order of the ops.

    Attributes:
        options: those of `SoftmaxNLL`, in the order of the ops.
        scale: multiplies the logits, before everything else.
        chunk: the tokens of a chunk; 0 for as many as the default takes.
        backend: whose softmax it is.
    """

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None
    target: Tensor
    options: tuple[Any, ...]
    scale: float = 1.0
    chunk: int = 0
    backend: str = "portable"

    @property
    def num_classes(self) -> int:
        return self.weight.shape[0]


class Upstream(NamedTuple):
    """What the gradients are multiplied by: one number or one per token of each value; None for nothing."""

    nll: Tensor | None
    lse: Tensor | None = None
    entropy: Tensor | None = None


class Result(NamedTuple):
    """The values of each token, 0 where it is left out, and the gradients that were wanted."""

    nll: Tensor
    lse: Tensor
    entropy: Tensor | None
    hidden: Tensor | None
    weight: Tensor | None
    bias: Tensor | None


_BYTES_ON_A_PROCESSOR = 48 << 20
_TOKENS_ELSEWHERE = 4096
_LEAST_TOKENS = 64  # fewer make the products slow: each reads the whole head
_FAR = -1e30  # a gap that no probability is left of, and that times 0 is 0
_AT_ONCE = 1 << 19  # logits that torch's operators take on a processor: each finds them in the caches
_SCRATCH = 256 << 20  # bytes for them elsewhere: few operators, each longer than its launch


def looks(device: torch.device) -> bool:
    """Whether values may be looked at: elsewhere that would mean to wait for the device."""
    return device.type == "cpu"


def chunk_rows(hidden: Tensor, num_classes: int, chunk: int) -> int:
    """How many tokens make a chunk.

    >>> chunk_rows(torch.zeros(10, 4), 1000, 7)
    7
    >>> chunk_rows(torch.zeros(100_000, 4), 50257, 0)
    192
    """
    if chunk:
        return chunk
    if not looks(hidden.device):
        return _TOKENS_ELSEWHERE
    rows = _BYTES_ON_A_PROCESSOR // max(1, num_classes * hidden.element_size())
    return max(_LEAST_TOKENS, rows // 64 * 64)


def rows_at_once(logits: Tensor, tensors: int) -> int:
    """How many rows of logits torch's operators take at a time, where they hold so many tensors of each."""
    if looks(logits.device):
        at_once = _AT_ONCE
    else:
        at_once = _SCRATCH // (tensors * compute_dtype(logits.dtype).itemsize)
    return max(1, at_once // max(1, logits.shape[1]))


@torch.no_grad()
def run(
    head: Head, upstream: Upstream | None = None, *, wanted: tuple[bool, bool, bool], entropy: bool
) -> Result:
    """Compute the values, and for upstream gradients those of hidden, weight and bias, as ``wanted``.

    Raises:
        IndexError: a class index out of range, on a processor; nothing has been computed.
    """
    with torch.autocast(head.hidden.device.type, enabled=False):
        if not is_small(head.hidden, head.weight, head.bias):
            return _run(head, upstream, wanted, entropy)
        # What is over in no time is computed without the roundings of 16-bit logits and gradients.
        bias = None if head.bias is None else head.bias.float()
        target = head.target.float() if head.target.is_floating_point() else head.target
        wide = head._replace(hidden=head.hidden.float(), weight=head.weight.float(), bias=bias, target=target)
        found = _run(wide, upstream, wanted, entropy)
        narrow = (None if g is None else g.to(head.hidden.dtype) for g in found[3:])
        return Result(*found[:3], *narrow)


def _run(head: Head, upstream: Upstream | None, wanted: tuple[bool, bool, bool], entropy: bool) -> Result:
    hidden, wide = head.hidden, compute_dtype(head.hidden.dtype)
    if not (head.weight.is_contiguous() or head.weight.t().is_contiguous()):
        head = head._replace(weight=head.weight.contiguous())  # else each product would make a copy
    rows, kept = (_kept_rows(head), None) if looks(hidden.device) else (None, _kept(head))
    tokens = hidden.shape[0]
    upstream = _of_kept(upstream, kept)
    count = tokens if rows is None else rows.numel()
    step = max(1, min(chunk_rows(hidden, head.num_classes, head.chunk), count))
    # What is left out keeps its 0.
    new = hidden.new_empty if rows is None else hidden.new_zeros
    nll, lse = (new(tokens, dtype=wide) for _ in range(2))
    entropies = new(tokens, dtype=wide) if entropy else None
    of_hidden = new(hidden.shape) if wanted[0] else None
    of_weight = HeadGradient(head.weight, several=count > step) if wanted[1] else None
    of_bias = hidden.new_zeros(head.num_classes, dtype=wide) if wanted[2] else None
    buffer = new_buffer(hidden[:step], head.weight)
    for start in range(0, count, step):
        at = slice(start, min(start + step, count))
        at_rows = at if rows is None else rows[at]
        x = hidden[at_rows].contiguous()  # some layouts are slow beyond all reason
        if kept is not None:
            x = torch.where(kept[at].unsqueeze(1), x, 0)  # NaN comes back in the gradient as 0 * NaN
        logits = logits_of(x, head.weight, head.bias, head.scale, buffer)
        found = _softmax_(logits, head, at_rows, upstream, entropy)
        nll[at_rows], lse[at_rows] = found[:2]
        if entropies is not None and found[2] is not None:
            entropies[at_rows] = found[2]
        # From here on the logits are their gradient.
        if of_hidden is not None:
            out = of_hidden[at] if rows is None else torch.empty_like(x)
            times_head(logits, head.weight, head.scale, out)
            if rows is not None:
                of_hidden[at_rows] = out
        if of_weight is not None:
            of_weight.add(logits, x, head.scale)
        if of_bias is not None:
            of_bias += logits.sum(0, dtype=wide)
        del logits  # before the next are made
    del buffer  # before the head's gradient is rounded
    if kept is not None:
        lse = torch.where(kept, lse, 0)
        entropies = None if entropies is None else torch.where(kept, entropies, 0)
    if of_bias is not None and head.bias is not None:
        of_bias = of_bias.mul_(head.scale).to(head.bias.dtype)
    return Result(nll, lse, entropies, of_hidden, None if of_weight is None else of_weight.done(), of_bias)


def _of_kept(upstream: Upstream | None, kept: Tensor | None) -> Upstream | None:
    """Upstream gradients that are 0 for tokens that are left out, on a device that is not waited for."""
    if upstream is None or kept is None:
        return upstream
    of_lse, of_entropy = (
        None if up is None else torch.where(kept, up, 0) for up in (upstream.lse, upstream.entropy)
    )
    return upstream._replace(lse=of_lse, entropy=of_entropy)


def _kept(head: Head) -> Tensor | None:
    """Which tokens count, or None where nothing leaves one out."""
    ignore_index, sample_weight = head.options[2], head.options[9]
    kept = None if sample_weight is None else sample_weight != 0
    if not head.target.is_floating_point():
        counts = head.target.long() != ignore_index  # first: in uint8 a class 156 would equal -100
        kept = counts if kept is None else kept & counts
    return kept


def _kept_rows(head: Head) -> Tensor | None:
    """The tokens that count, or None where all do.

    Raises:
        IndexError: a class index out of range.
    """
    kept = _kept(head)
    if not head.target.is_floating_point():
        target = head.target.long()
        outside = ((target < 0) | (target >= head.num_classes)) & (target != head.options[2])
        if outside.any():
            at = int(outside.int().argmax())
            raise index_error_at(int(target[at]), at, target.shape, head.num_classes, head.options[2])
    if kept is None or kept.all():
        return None
    return kept.nonzero().squeeze(1)


_PER_TOKEN = (7, 9)  # of the options: where, sample_weight


def _options_at(options: tuple[Any, ...], at: slice | Tensor) -> tuple[Any, ...]:
    return tuple(
        option[at] if place in _PER_TOKEN and option is not None else option
        for place, option in enumerate(options)
    )


def _softmax_(
    logits: Tensor, head: Head, at: slice | Tensor, upstream: Upstream | None, entropy: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The values of a chunk; over its logits, where there is an upstream gradient, their gradient."""
    softmax = SOFTMAX[head.backend]
    target, options = head.target[at], _options_at(head.options, at)
    of_nll, of_lse, of_entropy = (
        None if up is None else _upstream_at(up, at) for up in upstream or Upstream(None)
    )
    if entropy or of_entropy is not None:
        scores_ = softmax.scores(logits.device) if _are_plain(target, options) else None
        if scores_ is not None:
            nll, lse, found, _ = scores_(
                of_nll, of_lse, of_entropy, logits, target, options[2], options[4], False
            )
            return nll, lse, found
    if upstream is None:
        nll, lse = softmax.values(logits, target, *options)
        if not entropy:
            return nll, lse, None
        parts = [
            _entropy(logits[part], _options_at(options, part), None, scratch)[0]
            for part, scratch in _parts(logits)
        ]
        return nll, lse, torch.cat(parts)
    if of_entropy is None:
        return (*softmax.gradient_(of_nll, of_lse, 1.0, logits, target, *options), None)
    # The entropy's part has to be made before its logits are overwritten.
    columns = []
    for part, scratch in _parts(logits):
        z, chosen = logits[part], _options_at(options, part)
        ups = [None if up is None else _upstream_at(up, part) for up in (of_nll, of_lse, of_entropy)]
        value, slope = _entropy(z, chosen, ups[2], scratch)
        columns.append((*softmax.gradient_(ups[0], ups[1], 1.0, z, target[part], *chosen), value))
        if slope is not None:
            gradient, factor = slope
            if z.dtype == gradient.dtype:
                z.addcmul_(gradient, factor)
            else:
                z.copy_(gradient.mul_(factor).add_(z))
    nll, lse, entropies = (torch.cat(column) for column in zip(*columns, strict=True))
    return nll, lse, entropies


def _are_plain(target: Tensor, options: tuple[Any, ...]) -> bool:
    """Whether ``softmax_scores_`` takes them: class indices, and no option but ignore_index and softcap."""
    others = (*options[:2], options[3], *options[5:])
    return not target.is_floating_point() and not any(isinstance(o, Tensor) or o for o in others)


def _parts(logits: Tensor) -> Iterator[tuple[slice, list[Tensor]]]:
    """Some rows at a time, and memory for two tensors of their size."""
    rows, classes = logits.shape
    step = min(rows_at_once(logits, 2), max(1, rows))
    scratch = [logits.new_empty(step, classes, dtype=compute_dtype(logits.dtype)) for _ in range(2)]
    for start in range(0, rows, step):
        part = slice(start, min(start + step, rows))
        yield part, [of[: part.stop - start] for of in scratch]


def _upstream_at(upstream: Tensor, at: slice | Tensor) -> Tensor:
    return upstream if upstream.numel() == 1 else upstream[at]


def _entropy(
    logits: Tensor, options: tuple[Any, ...], upstream: Tensor | None, scratch: list[Tensor]
) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    r"""The entropy of each row, and its gradient by the logits, times ``upstream``, as two factors.

    With d the gap of a logit to the largest, :math:`H = \operatorname{log1p}(\sum' e^{-d}) + \sum p d`, of
    terms that are not negative; its derivative is :math:`p_j (d_j - \sum p d)`. Each operator is a pass over
    the logits, and there are as few as torch's make possible.
    """
    _, _, _, _, softcap, offset, _, where, _, _ = options
    wide = compute_dtype(logits.dtype)
    z = logits if logits.dtype == wide else scratch[0].copy_(logits)
    slope = None
    if softcap:
        z = torch.tanh(z / softcap)
        if upstream is not None:
            slope = 1 - z * z
        z.mul_(softcap)
    if offset is not None:
        z = z + offset.to(wide)
    if where is not None:
        z = z.masked_fill(~where, -torch.inf)
    top, index = _largest(z)
    p = torch.softmax(z, 1, out=scratch[1])
    below = torch.sub(z, top, out=scratch[0])  # the gap with its sign turned
    if where is not None or not looks(z.device):
        below.clamp_(min=_FAR)
    of_top = p.gather(1, index)
    p.scatter_(1, index, 0)
    share = below.mul_(p)
    mean_gap = -share.sum(1, keepdim=True)
    if where is None and looks(z.device) and not mean_gap.isfinite().all():
        # 0 times infinity, of logits of minus infinity: their share is 0.
        share.masked_fill_(p == 0, 0)
        mean_gap = -share.sum(1, keepdim=True)
    entropy = (torch.log1p(p.sum(1, keepdim=True) / of_top) + mean_gap).squeeze(1)
    if upstream is None:
        return entropy, None
    gradient = share.addcmul_(p, mean_gap).scatter_(1, index, of_top * mean_gap)
    factor = -upstream.to(wide).reshape(-1, 1)
    return entropy, (gradient if slope is None else gradient.mul_(slope), factor)


def _largest(z: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of each row and its place, in two steps: torch looks for a place one number at a time."""
    run, classes = 64, z.shape[1]
    whole = classes // run * run
    if not looks(z.device) or whole == 0:
        return z.max(1, keepdim=True)
    of_runs = z[:, :whole].reshape(z.shape[0], -1, run).amax(2)
    if whole < classes:
        of_runs = torch.cat([of_runs, z[:, whole:].amax(1, keepdim=True)], 1)
    first = of_runs.argmax(1, keepdim=True) * run
    places = (first + torch.arange(run, device=z.device)).clamp_(max=classes - 1)
    top, at = z.gather(1, places).max(1, keepdim=True)
    return top, places.gather(1, at)
