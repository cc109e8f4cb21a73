r"""A linear head and its loss, chunk after chunk of tokens: the loop, whatever is made of the logits.

A chunk is one product into a buffer that all chunks share, the backend's kernel in place, and one product for
each gradient that is wanted. The products are the vendor's. On a processor tokens that are left out (ignored,
or of weight 0) leave before the products; elsewhere to know how many they are would mean to wait for the
device, which is done for those who ask for it.

The gradient of the head is summed over the chunks in float32, whatever the dtype. Where no product of 16-bit
numbers into float32 is to be had (``out_dtype`` is CUDA's alone) a chunk's part is rounded once, to the dtype
of the products, and added in float32: as much as the rounding of the logits' gradients, which are that
product's factors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from likelihead.errors import OptionError
from likelihead.kernels.fused.products import HeadGradient, logits_of, new_buffer, times_head
from likelihead.kernels.ops import compute_dtype

__all__ = [
    "SOFTMAX",
    "Layer",
    "Rows",
    "Softmax",
    "Wanted",
    "chunk_rows",
    "in_chunks",
    "looks",
    "rows_at_once",
    "rows_that",
]


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

Wanted = tuple[bool, bool, bool]
"""Whether the gradient is, of hidden states, weight and bias."""


class Layer(NamedTuple):
    """A linear layer and what it is applied to.

    Attributes:
        scale: multiplies the logits.
        chunk: the tokens of a chunk; 0 for as many as the default takes.
    """

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None
    scale: float
    chunk: int


class Rows(NamedTuple):
    """The tokens that are computed, all of them where ``places`` is None, and which of these count.

    One of the two is None at least.
    """

    places: Tensor | None
    kept: Tensor | None

    def new(self, like: Tensor, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Memory for a value of each token; what is not computed has its 0."""
        return (like.new_empty if self.places is None else like.new_zeros)(shape, dtype=dtype or like.dtype)

    def masked(self, values: Tensor) -> Tensor:
        """The values of each token, 0 where it is computed and does not count."""
        return values if self.kept is None else torch.where(self.kept, values, 0)


_BYTES_ON_A_PROCESSOR = 48 << 20
_TOKENS_ELSEWHERE = 4096
_LEAST_TOKENS = 64  # fewer make the products slow: each reads the whole head
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


def rows_that(kept: Tensor | None, compact: bool | None) -> Rows:
    """The tokens that are computed, of those that count.

    Args:
        kept: whether each counts; None where all do.
        compact: whether those that do not leave before the products, for which the device is waited for;
            None for where that takes no waiting.

    Raises:
        OptionError: the device would be waited for in a CUDA graph that is being captured.
    """
    if kept is None or not (looks(kept.device) if compact is None else compact):
        return Rows(None, kept)
    if kept.is_cuda and torch.cuda.is_current_stream_capturing():
        raise OptionError(
            "compact is True, which waits for the device to say how many tokens count, and a CUDA graph is "
            "being captured, whose shapes are fixed; leave it out, or set compact=False."
        )
    places = kept.nonzero().squeeze(1)
    return Rows(None if places.numel() == kept.numel() else places, None)


def in_chunks(
    layer: Layer, rows: Rows, wanted: Wanted, score_: Callable[[Tensor, Any], None]
) -> tuple[Tensor | None, ...]:
    """The gradients that are wanted, of hidden states, weight and bias.

    Args:
        layer: makes the logits.
        rows: the tokens that are computed, and those of them that count.
        wanted: of which gradients are wanted.
        score_: takes the logits of a chunk and which tokens they are of (a slice, or indices), keeps what it
            makes of them, and leaves their gradient in their place, where any is wanted.
    """
    hidden, weight, bias, scale, chunk = layer
    if not (weight.is_contiguous() or weight.t().is_contiguous()):
        weight = weight.contiguous()  # else each product would make a copy
    places, kept = rows
    count = hidden.shape[0] if places is None else places.numel()
    step = max(1, min(chunk_rows(hidden, weight.shape[0], chunk), count))
    of_hidden = rows.new(hidden, *hidden.shape) if wanted[0] else None
    of_weight = HeadGradient(weight, several=count > step) if wanted[1] else None
    of_bias = hidden.new_zeros(weight.shape[0], dtype=compute_dtype(hidden.dtype)) if wanted[2] else None
    buffer = new_buffer(hidden[:step], weight)
    for start in range(0, count, step):
        at = slice(start, min(start + step, count))
        at_rows = at if places is None else places[at]
        x = hidden[at_rows].contiguous()  # some layouts are slow beyond all reason
        if kept is not None:
            x = torch.where(kept[at].unsqueeze(1), x, 0)  # NaN comes back in the gradient as 0 * NaN
        logits = logits_of(x, weight, bias, scale, buffer)
        score_(logits, at_rows)
        # From here on the logits are their gradient.
        if of_hidden is not None:
            out = of_hidden[at] if places is None else torch.empty_like(x)
            times_head(logits, weight, scale, out)
            if places is not None:
                of_hidden[at_rows] = out
        if of_weight is not None:
            of_weight.add(logits, x, scale)
        if of_bias is not None:
            of_bias += logits.sum(0, dtype=of_bias.dtype)
        del logits  # before the next are made
    del buffer  # before the head's gradient is rounded
    if of_bias is not None and bias is not None:
        of_bias = of_bias.mul_(scale).to(bias.dtype)
    return of_hidden, None if of_weight is None else of_weight.done(), of_bias
