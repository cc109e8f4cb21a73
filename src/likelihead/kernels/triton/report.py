"""How a kernel reports class indices out of range; see `flags`, which reads the reports."""

from __future__ import annotations

import triton
import triton.language as tl

from likelihead.kernels.triton.flags import SLOTS, WORDS

__all__ = ["report"]

_SLOTS = tl.constexpr(SLOTS)
_WORDS = tl.constexpr(WORDS)


@triton.jit
def report(counter, slots, call, position, value, bad):
    """Report the lanes that are ``bad``: a class index ``value`` at flat place ``position`` of the targets.

    ``counter`` and ``slots`` are of `flags.of`, ``call`` is of `flags.register` (an int64 that Triton is not
    to specialise on); the other three are of one shape.
    """
    at = tl.atomic_add(counter + tl.zeros_like(position), 1, mask=bad)
    free = bad & (at >= 0) & (at < _SLOTS)
    slot = slots + at * _WORDS
    tl.store(slot + 1, call + tl.zeros_like(position).to(tl.int64), mask=free)
    tl.store(slot + 2, position.to(tl.int64), mask=free)
    tl.store(slot + 3, value.to(tl.int64), mask=free)
    # After the others as the host sees them, too.
    tl.atomic_xchg(slot, tl.full(position.shape, 1, tl.int64), mask=free, sem="release", scope="sys")
