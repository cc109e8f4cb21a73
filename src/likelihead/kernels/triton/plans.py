"""Plans that are kept: a call like an earlier one allocates and launches, and works nothing out.

A plan follows from what `_key` has of a call: the shapes, strides, dtypes and alignment of its tensors, its
numbers and the device. So does the kernel that Triton would pick for each launch, by going through some
seventy arguments: the one that it picked the first time is kept beside the plan, and launched by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from likelihead.kernels.fused.registration import INTERPRETED
from likelihead.kernels.triton import flags
from likelihead.kernels.triton.launch import Device, Launch, is_recording, run, start
from likelihead.kernels.triton.tunables import generation

__all__ = ["Planner", "Room", "dense", "is_one_number", "launch"]

MOST = 1024  # plans; of more, for shapes that never come again, none is worth its memory
_ALIGNED = 16  # bytes, by which Triton asks whether it divides a pointer
_FLOAT64 = 8  # bytes

# HIP's compiler asks more of a tensor than `_key` does, as how large the memory is that it is a part of.
_PICKS_BY_MORE = torch.version.hip is not None


class Room:
    """Numbers in float64 that the kernels of a call leave to each other: parts of one allocation.

    Attributes:
        reports: ``(counter, slots)`` of `flags.of` the device.
        parts: what was asked for, as tensors without memory, which stand for it in a plan.
        starts: where each of them begins.
        size: of the whole.
    """

    def __init__(self, device: torch.device) -> None:
        self.reports = flags.of(device)
        self.parts: list[Tensor] = []
        self.starts: list[int] = []
        self.size = 0

    def take(self, count: int) -> Tensor:
        """Room for so many; it begins where 16 bytes do."""
        part = torch.empty(count, dtype=torch.float64, device="meta")
        self.parts.append(part)
        self.starts.append(self.size)
        self.size += count + count % 2
        return part


Tensors: TypeAlias = tuple[Tensor | None, ...]  # a named one of each op; on the device of the first

# What launches a call of these tensors and numbers has on a device; None if it is not for such tensors.
Planner: TypeAlias = Callable[[Any, Any, Device, Room], "list[Launch] | None"]

_plans: dict[tuple[Any, ...], _Plan | None] = {}


def launch(planner: Planner, tensors: Tensors, numbers: tuple[Any, ...]) -> bool:
    """Launch what the planner has for these, on the current device and stream; False if it has nothing.

    The planner gets tensors of the same shape and strides without memory: what it launches has these, parts
    of the room and the reports of it.
    """
    device = tensors[0].device  # type: ignore[union-attr]
    if is_recording():
        launches = planner(tensors, numbers, Device.of(device), Room(device))
        run(launches or [])
        return launches is not None
    pointers: list[Any] = []
    key = _key(planner, tensors, numbers, device, pointers)
    try:
        plan = _plans[key]
    except KeyError:
        plan = _made(planner, tensors, numbers, device)
        if len(_plans) >= MOST:
            _plans.clear()
        _plans[key] = plan
    if plan is None:
        return False
    plan.launch(tensors, pointers)
    return True


def _key(
    planner: Planner,
    tensors: Tensors,
    numbers: tuple[Any, ...],
    device: torch.device,
    pointers: list[Any],
) -> tuple[Any, ...]:
    """All that a plan and the choice of its kernels depend on; the tensors' addresses go to ``pointers``."""
    key: list[Any] = [planner, numbers, device, generation()]
    for tensor in tensors:
        if tensor is None:
            pointers.append(None)
            key.append(None)
        else:
            pointer = tensor.data_ptr()
            pointers.append(pointer)
            key.append((tensor.shape, tensor.stride(), tensor.dtype, pointer % _ALIGNED))
    return tuple(key)


def _made(planner: Planner, tensors: Tensors, numbers: tuple[Any, ...], device: torch.device) -> _Plan | None:
    room = Room(device)
    # Each its own, also where a call has one tensor in two places: the next may have two.
    named: Any = type(tensors)
    stand_ins = named(*[None if t is None else _stand_in(t) for t in tensors])
    launches = planner(stand_ins, numbers, Device.of(device), room)
    if launches is None:
        return None
    every = (*stand_ins, *room.parts)
    sources = {id(tensor): number for number, tensor in enumerate(every) if tensor is not None}
    fixed = {id(tensor) for tensor in room.reports}
    return _Plan([_Step(one, sources, fixed) for one in launches if 0 not in one.grid], room, device)


def _stand_in(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


class _Plan:
    """The launches of a call, with the places of its tensors left open."""

    def __init__(self, steps: list[_Step], room: Room, device: torch.device) -> None:
        self.steps = steps
        self.device = device
        self.size = room.size
        self.places = [(at, part.numel()) for at, part in zip(room.starts, room.parts, strict=True)]
        self.offsets = [_FLOAT64 * at for at in room.starts]

    def launch(self, tensors: Tensors, pointers: list[Any]) -> None:
        room = None
        if self.places:
            room = torch.empty(self.size, dtype=torch.float64, device=self.device)
            start = room.data_ptr()
            pointers += [start + offset for offset in self.offsets]
        for step in self.steps:
            if step.again is None:
                step.first(
                    [*tensors, *(() if room is None else (room[at : at + n] for at, n in self.places))]
                )
            else:
                values = step.values.copy()
                for at, source in step.open:
                    values[at] = pointers[source]
                step.again(*values)


class _Step:
    """A launch of a plan.

    Attributes:
        launch: with None for the tensors of the call.
        open: which of the arguments these are, and of which number.
        again: launches Triton's kernel without a search for it, of all values in the kernel's order,
            pointers as numbers; None as long as there is none.
        values: of the launch, in that order.
    """

    __slots__ = ("again", "launch", "open", "values")

    def __init__(self, planned: Launch, sources: dict[int, int], fixed: set[int]) -> None:
        args: list[Any] = list(planned.args)
        places: list[tuple[int, int]] = []
        for at, value in enumerate(args):
            if isinstance(value, Tensor) and id(value) not in fixed:
                if id(value) not in sources:
                    raise ValueError(
                        f"argument {at} of {planned.kernel.__name__} is a tensor of this call alone, and its "
                        "plan is kept for others; expected one of those given, or a part of the room."
                    )
                places.append((at, sources[id(value)]))
                args[at] = None
        self.launch = replace(planned, args=tuple(args))
        self.open = tuple(places)
        self.values = args
        self.again: Callable[..., None] | None = None

    def first(self, tensors: Sequence[Tensor | None]) -> None:
        """By Triton's own way, which compiles the kernel or finds it."""
        args = list(self.launch.args)
        for at, source in self.open:
            args[at] = tensors[source]
        found = start(replace(self.launch, args=tuple(args)))
        if INTERPRETED or _PICKS_BY_MORE:
            return
        from triton.compiler import CompiledKernel

        if isinstance(found, CompiledKernel):
            names = self.launch.kernel.arg_names
            constexprs = self.launch.constexprs
            self.values = [*self.launch.args, *(constexprs[name] for name in names[len(args) :])]
            self.again = found[(*self.launch.grid, 1, 1)[:3]]


def is_one_number(tensor: Tensor) -> bool:
    """Whether all of its numbers are the same one in memory."""
    return not any(size > 1 and stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def dense(upstream: Tensor | None) -> Tensor | None:
    """Contiguous, or one number for all."""
    if upstream is None or is_one_number(upstream):
        return upstream
    return upstream.contiguous()
