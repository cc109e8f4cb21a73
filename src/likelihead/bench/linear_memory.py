r"""The memory of a linear head and its cross-entropy on a processor, as formulas: all beyond the inputs.

With N tokens, V classes, width D, b bytes per number and a per number of a sum (4 for 16-bit dtypes, else b),
of a chunk of c tokens:

- torch eager holds the logits, their log-probabilities and the gradients of both, three of them at a time:
  :math:`3NVb`; a caller who keeps the logits holds a fourth;
- ours holds one chunk, :math:`cVb`, and the gradients: :math:`NDb`, and :math:`VDa` until the sum is rounded.

docs/linear-memory.md derives them; tests/bench/test_linear_memory.py holds measured peaks against them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from likelihead.kernels.fused import products
from likelihead.kernels.fused.linear_chunks import chunk_rows
from likelihead.kernels.ops import compute_dtype

__all__ = ["DTYPES", "Route", "Sizes", "gradients", "ours", "routes"]

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}


@dataclass(frozen=True)
class Sizes:
    """Of a head: ``tokens`` N, ``classes`` V, ``width`` D; and of a chunk, 0 for what the default takes."""

    tokens: int
    classes: int
    width: int
    dtype: torch.dtype = torch.float32
    chunk_tokens: int = 0

    @property
    def logits(self) -> int:
        """Bytes of the logits of all tokens."""
        return self.tokens * self.classes * self.dtype.itemsize

    @property
    def chunk(self) -> int:
        """Tokens of a chunk."""
        like = torch.empty(0, dtype=self.dtype)
        return min(self.tokens, chunk_rows(like, self.classes, self.chunk_tokens))


@dataclass(frozen=True)
class Route:
    """A way from the hidden states to the loss: ``forward`` without gradients, ``backward`` with all of them.

    Bytes at the peak, beyond the inputs; the gradients are counted.
    """

    name: str
    forward: int
    backward: int


def gradients(sizes: Sizes) -> int:
    """Bytes of the gradients of hidden states and head: no route takes less."""
    return (sizes.tokens + sizes.classes) * sizes.width * sizes.dtype.itemsize


def routes(sizes: Sizes) -> list[Route]:
    """The routes, in the order of what they take.

    >>> [route.name for route in routes(Sizes(2048, 50257, 768))]
    ['torch eager, logits kept', 'torch eager', 'torch chunked', 'ours']
    """
    logits = sizes.logits
    # The products of the backward pass begin when the logits' gradient is all that is left of them.
    after = logits + gradients(sizes)
    return [
        Route("torch eager, logits kept", 2 * logits, max(4 * logits, logits + after)),
        Route("torch eager", 2 * logits, max(3 * logits, after)),
        _torch_chunked(sizes),
        ours(sizes),
    ]


def ours(sizes: Sizes) -> Route:
    """The chunks of `likelihead.functional.linear_cross_entropy`, reduced or per token."""
    per_number, narrow = sizes.dtype.itemsize, sizes.dtype.itemsize < 4
    chunk = sizes.chunk
    of_chunk = chunk * sizes.classes * per_number
    values = 2 * sizes.tokens * max(4, per_number)
    of_hidden, numbers = sizes.tokens * sizes.width * per_number, sizes.classes * sizes.width
    summed = narrow and chunk < sizes.tokens  # a single chunk's product is its gradient
    in_loop = of_chunk + numbers * (compute_dtype(sizes.dtype).itemsize if summed else per_number)
    if summed or _takes_onednn(sizes):
        # The head's gradient is made so many classes at a time: the last product lives until the next is
        # there, and in float32 oneDNN lays its factor out anew.
        at_once = min(products.HeadGradient._AT_ONCE, sizes.classes)
        in_loop += (2 * sizes.width + (0 if summed else chunk)) * at_once * per_number
    rounded = 0
    if summed:
        # Rounded piece by piece.
        piece = max(1, products.HeadGradient._PIECE // max(1, sizes.width))
        piece = max(piece // products.HeadGradient._AT_ONCE, 1) * products.HeadGradient._AT_ONCE
        rounded = 4 * numbers + min(piece, sizes.classes) * sizes.width * per_number
    return Route("ours", of_chunk + values, max(in_loop, rounded) + of_hidden + values)


def _takes_onednn(sizes: Sizes) -> bool:
    large = sizes.chunk * sizes.classes * sizes.width >= products._LARGE
    return sizes.dtype is torch.float32 and large and products._mkl_is_slow()


def _torch_chunked(sizes: Sizes) -> Route:
    """``torch.nn.functional.linear_cross_entropy`` with its default options, as of torch 2.13."""
    per_number, narrow = sizes.dtype.itemsize, sizes.dtype.itemsize < 4
    wanted = -(-sizes.tokens // -(-sizes.classes // sizes.width))
    chunk = min(1 << (wanted - 1).bit_length(), sizes.tokens)
    if not narrow:
        chunk = max(1, chunk // 2)
    numbers, of_chunk = sizes.classes * sizes.width, chunk * sizes.classes * max(4, per_number)
    if narrow:
        # The head in float32, a chunk's product, and what the subtraction of it from 16 bits is made in.
        return Route(
            "torch chunked",
            of_chunk + 4 * numbers,
            of_chunk + (4 * 4 + per_number) * numbers + sizes.tokens * sizes.width * 4,
        )
    # Its gradients are made in the forward pass, and copied when they become those of the leaves.
    made = gradients(sizes)
    return Route("torch chunked", of_chunk, made + max(made, of_chunk))
