"""The matrix products of a head: those that torch has, and which of them is the machine's fast one.

Of float32 ``torch.mm`` takes MKL's product, which on other processors than Intel's leaves AVX-512 alone: 200
GFLOP/s on two cores of a Zen 5, where oneDNN's reaches 340 to 390. There oneDNN's serves, by the operator
that torch's own compiler emits for a linear layer. The rule is fixed, not measured: products differ in the
last place.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from likelihead.kernels.fused.registration import INTERPRETED
from likelihead.kernels.ops import compute_dtype

__all__ = [
    "HeadGradient",
    "even_chunks",
    "is_small",
    "logits_of",
    "new_buffer",
    "scaled_by",
    "times_head",
]

_TILE = 256  # tokens: products of whole tiles
_LARGE = 1 << 24  # multiplications: fewer take less than a millisecond, however they are made


def is_small(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether products of 16-bit numbers on a processor are few enough to be made in float32."""
    narrow = compute_dtype(x.dtype) is not x.dtype and x.is_cpu
    alike = x.dtype is weight.dtype and (bias is None or bias.dtype is x.dtype)  # else torch refuses them
    return narrow and alike and x.shape[0] * weight.numel() < _LARGE


def new_buffer(x: Tensor, weight: Tensor) -> Tensor | None:
    """What the logits of up to so many tokens are made in; None where the product brings its own memory."""
    return None if _takes_onednn(x, weight) else x.new_empty(x.shape[0], weight.shape[0])


def logits_of(x: Tensor, weight: Tensor, bias: Tensor | None, scale: float, buffer: Tensor | None) -> Tensor:
    """``scale * (x @ weight.T + bias)``, in the buffer where the product can be made there."""
    if _takes_onednn(x, weight):
        return _onednn(x if scale == 1 else x * scale, weight, bias if bias is None else bias * scale)
    if buffer is None:
        buffer = x.new_empty(x.shape[0], weight.shape[0])
    out = buffer[: x.shape[0]]
    first, beta = (out, 0.0) if bias is None else (bias, scale)
    return torch.addmm(first, x, weight.t(), beta=beta, alpha=scale, out=out)


def times_head(gradient: Tensor, weight: Tensor, scale: float, out: Tensor) -> None:
    """Write ``scale * gradient @ weight``."""
    if _takes_onednn(gradient, weight):
        out.copy_(_onednn(gradient, weight.t(), None)).mul_(scale)
    else:
        torch.addmm(out, gradient, weight, beta=0, alpha=scale, out=out)


def even_chunks(count: int, step: int, weight: Tensor, at_once: int = 1) -> int:
    r"""How many of ``count`` tokens make a chunk where it has ``step`` at most and the head is trained.

    A single chunk's product is the head's gradient; several are summed in float32, which is written and read
    again for each and rounded in the end. With b bytes per number, c tokens per chunk, V classes and k
    tensors of logits ``at_once`` the sum takes :math:`kcVb + 4VD` bytes and a single chunk :math:`kNVb +
    VDb`: no more where :math:`N \le c + (4 - b) D / kb`. More tokens are shared out evenly, so that none is
    left with few, for which both sums and head would be read.

    >>> head = torch.empty(128256, 4096, dtype=torch.bfloat16, device="meta")
    >>> [even_chunks(count, 4096, head) for count in (100, 8192, 8193, 9000, 32768)]
    [100, 8192, 2816, 3072, 4096]
    """
    size = weight.element_size()
    room = (compute_dtype(weight.dtype).itemsize - size) * weight.shape[1] // (size * at_once)
    if count <= step + room:
        return count
    each = -(-count // -(-count // step))
    return min(step, -(-each // _TILE) * _TILE)


def scaled_by(upstream: Tensor, gradient: Tensor) -> Tensor:
    """The gradient times one number, in place; a kernel that looks at the number leaves it be for a 1."""
    if (gradient.is_cuda or INTERPRETED) and gradient.numel() and _has_kernels():
        torch.ops.likelihead.scale_.default(gradient, upstream, True)
        return gradient
    return gradient.mul_(upstream)


@cache
def _has_kernels() -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key("likelihead::scale_", "CUDA")


class HeadGradient:
    """The gradient of the head's weight, summed over chunks in float32 at least."""

    _AT_ONCE = 2048  # classes: a part of the product that stays in the caches until it is added
    _PIECE = 1 << 24  # elements: more bytes than malloc keeps when they are freed

    def __init__(self, weight: Tensor, *, several: bool) -> None:
        self.weight, self.first = weight, True
        self.narrow = several and compute_dtype(weight.dtype) != weight.dtype
        self.pieces: list[Tensor] = []
        if not self.narrow:
            self.pieces.append(torch.empty_like(weight, memory_format=torch.contiguous_format))
            return
        classes, width = weight.shape
        step = max(1, self._PIECE // max(1, width) // self._AT_ONCE) * self._AT_ONCE
        if weight.is_cuda:
            step = classes  # one product fills the multiprocessors to the last round
        for start in range(0, classes, step):
            rows = min(step, classes - start)
            self.pieces.append(weight.new_empty(rows, width, dtype=torch.float32))

    def add(self, gradient: Tensor, x: Tensor, scale: float) -> None:
        """Add the part of a chunk: its gradient by the logits and its hidden states."""
        onednn = _takes_onednn(x, self.weight)
        if onednn and scale != 1:
            x = x * scale
        start = 0
        for piece in self.pieces:
            columns = gradient[:, start : start + piece.shape[0]]
            start += piece.shape[0]
            if self.narrow and gradient.is_cuda:
                if self.first:
                    torch.mm(columns.t(), x, out_dtype=torch.float32, out=piece)
                else:
                    torch.addmm(piece, columns.t(), x, out_dtype=torch.float32, out=piece)
            elif onednn or self.narrow:
                for first in range(0, piece.shape[0], self._AT_ONCE):
                    part = slice(first, first + self._AT_ONCE)
                    factor = columns[:, part].t()
                    product = _onednn(factor, x.t(), None) if onednn else torch.mm(factor, x)
                    if self.first:
                        piece[part].copy_(product)
                    else:
                        piece[part].add_(product)
            else:
                beta = 0 if self.first else 1
                torch.addmm(piece, columns.t(), x, beta=beta, alpha=scale, out=piece)
        self.first = False
        self.scale = 1.0 if onednn or not self.narrow else scale

    def done(self) -> Tensor:
        """The gradient in the dtype of the weight, rounded once, piece by piece to spare memory."""
        if self.first:
            return torch.zeros_like(self.weight, memory_format=torch.contiguous_format)
        if not self.narrow:
            return self.pieces[0]
        result = torch.empty_like(self.weight, memory_format=torch.contiguous_format)
        start = 0
        while self.pieces:
            piece = self.pieces.pop(0)
            result[start : start + piece.shape[0]] = piece if self.scale == 1 else piece.mul_(self.scale)
            start += piece.shape[0]
        return result


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x @ weight.T + bias``."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


def _takes_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        x.dtype is weight.dtype is torch.float32
        and x.is_cpu
        and x.shape[0] * weight.numel() >= _LARGE
        and weight.is_contiguous()
        and _mkl_is_slow()
    )


@cache
def _mkl_is_slow() -> bool:
    """Whether MKL would leave the processor's AVX-512 unused, and oneDNN is there to make use of it."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    try:
        return "GenuineIntel" not in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
