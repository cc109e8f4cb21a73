"""Class indices out of range, reported without waiting for the device: a buffer that both sides can reach.

A kernel that meets one takes a slot (an atomic counter), writes what it found and marks the slot; it touches
no memory by the index. The host looks at the marks when likelihead is next called on that device, and in
`synchronize`, and raises what the CPU's kernels would have raised. Reading a few words of its own memory
costs it nothing and waits for nobody, so that calls can be captured in a CUDA graph.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from likelihead.kernels.fused.calls import index_error_at
from likelihead.kernels.fused.registration import INTERPRETED

__all__ = ["SLOTS", "WORDS", "check", "of", "register", "synchronize"]

SLOTS = 8  # found at about the same time; the first position of them is named
WORDS = 4  # of int64 a slot: mark, call, position, value

_buffers: dict[torch.device, _Buffer] = {}
# What a kernel cannot pass on in numbers, by the number it passes. Distinct calls are few: they are kept.
_calls: dict[tuple[Any, ...], int] = {}


class _Buffer:
    """Of one device: the counter in its own memory, the slots in the host's."""

    def __init__(self, device: torch.device) -> None:
        self.counter = torch.zeros(1, dtype=torch.int32, device=device)
        # Allocated before any capture of a graph: Triton loads its kernels at a first call too.
        self.slots = torch.zeros(SLOTS * WORDS, dtype=torch.int64, pin_memory=device.type == "cuda")
        self.words = (ctypes.c_int64 * (SLOTS * WORDS)).from_address(self.slots.data_ptr())

    def take(self) -> tuple[int, int, int] | None:
        """(position, value, call) of the first that is marked; all are cleared.

        Slots are taken in the order of time. Of the same call's the least position is named.
        """
        words = self.words
        found = [
            (words[i + 2], words[i + 3], words[i + 1]) for i in range(0, SLOTS * WORDS, WORDS) if words[i]
        ]
        if not found:
            return None
        position, value, call = min(one for one in found if one[2] == found[0][2])
        for i in range(0, SLOTS * WORDS, WORDS):
            words[i] = 0
        self.counter.zero_()
        return position, value, call


def of(device: torch.device) -> tuple[Tensor, Tensor]:
    """``(counter, slots)`` to hand to a kernel on this device."""
    if device.type == "meta":  # a plan without a device
        counter = torch.empty(1, dtype=torch.int32, device=device)
        return counter, torch.empty(SLOTS * WORDS, dtype=torch.int64, device=device)
    buffer = _buffers.get(device)
    if buffer is None:
        buffer = _buffers[device] = _Buffer(device)
    return buffer.counter, buffer.slots


def register(shape: Sequence[int], num_classes: int, ignore_index: int) -> int:
    """The number by which a kernel names a call with targets of this shape."""
    return _calls.setdefault((tuple(shape), num_classes, ignore_index), len(_calls))


def check(device: torch.device) -> None:
    """Raise what earlier calls on this device have found so far. Waits for nothing.

    Raises:
        IndexError: a class index out of range; it names value and position.
    """
    buffer = _buffers.get(device)
    if buffer is None:
        return
    found = buffer.take()
    if found is None:
        return
    position, value, call = found
    shape, num_classes, ignore_index = list(_calls)[call]
    raise index_error_at(value, position % max(math.prod(shape), 1), shape, num_classes, ignore_index)


def synchronize(device: torch.device | str | int | None = None) -> None:
    """Wait for a GPU and raise what its likelihead kernels have found.

    A class index out of range cannot be raised by the call that meets it, which would have to wait for the
    GPU: it is raised by the next likelihead call on that device, or here.

    Args:
        device: a CUDA or HIP device; by default the current one. On any other there is nothing to wait for.

    Raises:
        IndexError: a class index out of range; it names value and position.
    """
    if device is None:
        if not torch.cuda.is_available():
            if INTERPRETED:
                check(torch.device("cpu"))
            return
        device = torch.device("cuda", torch.cuda.current_device())
    device = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    if device.type == "cuda":
        if device == torch.device("cuda"):
            device = torch.device("cuda", torch.cuda.current_device())
        torch.cuda.synchronize(device)
    check(device)
