"""The exponential inside torch's softmax, by itself.

Where torch comes with MKL, ``torch.exp`` is MKL's, which takes twice to three times as long on the processors
of others than Intel. The backward of log_softmax is ``g - exp(z) * sum(g)`` in each row: of a row whose g is
-1 in one place and 0 elsewhere it is ``exp(z)`` everywhere but in that place, to a unit in the last place.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["exponential"]

_ROW = 1 << 12
_ROWS = 1 << 6  # at a time, so that the rows of g stay in the caches
_MANY = 1 << 17
_IS_MKLS = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]


def exponential(z: Tensor, *, out: Tensor) -> Tensor:
    """``torch.exp(z, out=out)``; it may be the same tensor."""
    numel = z.numel()
    if not (_IS_MKLS and numel >= _MANY and z.is_cpu and z.stride() == out.stride() and _is_dense(z)):
        return torch.exp(z, out=out)
    flat, flat_out = (t.as_strided((numel,), (1,)) for t in (z, out))
    whole = numel - numel % _ROW
    rows, out_rows = (t[:whole].view(-1, _ROW) for t in (flat, flat_out))
    first, rest = rows[:, 0].exp(), flat[whole:].exp()
    g = z.new_zeros(min(_ROWS, len(rows)), _ROW)
    g[:, 0] = -1
    for start in range(0, len(rows), _ROWS):
        some, some_out = rows[start : start + _ROWS], out_rows[start : start + _ROWS]
        torch._log_softmax_backward_data(g[: len(some)], some, 1, z.dtype, out=some_out)
    out_rows[:, 0] = first
    flat_out[whole:] = rest
    return out


def _is_dense(z: Tensor) -> bool:
    """Whether the elements lie side by side, in whatever order."""
    return sum((size - 1) * stride for size, stride in zip(z.shape, z.stride(), strict=True)) + 1 == z.numel()
