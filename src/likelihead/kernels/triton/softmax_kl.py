"""The divergence of a student's logits from its teacher's on a GPU: the function that the torch op calls."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from torch import Tensor

from likelihead.kernels.ops import compute_dtype
from likelihead.kernels.triton.launch import Device, Launch
from likelihead.kernels.triton.plans import Room, is_one_number, launch
from likelihead.kernels.triton.softmax_kl_kernel import FORWARD, JSD, REVERSE, softmax_kl
from likelihead.kernels.triton.tunables import lookup

__all__ = ["plan_kl", "softmax_kl_"]

_DIRECTIONS = {"forward": FORWARD.value, "reverse": REVERSE.value, "jsd": JSD.value}
_BUCKETS = {2: "16-bit", 4: "float32", 8: "float64"}
_UNIT = 16  # what Triton makes use of, in elements


def softmax_kl_(
    grad: Tensor | None,
    logits: Tensor,
    teacher: Tensor,
    direction: str,
    beta: float,
    softcap: float,
    teacher_softcap: float,
) -> Tensor:
    """The values ``[N]``; with ``grad`` the logits become the gradient."""
    values = logits.new_empty(logits.shape[0], dtype=compute_dtype(logits.dtype))
    if grad is not None and not is_one_number(grad):
        grad = grad.contiguous()
    numbers = Numbers(_DIRECTIONS[direction], beta, softcap, teacher_softcap)
    launch(plan_kl, Tensors(logits, teacher, values, grad), numbers)
    return values


class Tensors(NamedTuple):
    logits: Tensor
    teacher: Tensor
    values: Tensor
    up: Tensor | None


class Numbers(NamedTuple):
    direction: int
    beta: float
    softcap: float
    teacher_softcap: float


def plan_kl(tensors: Tensors, numbers: Numbers, device: Device, room: Room) -> list[Launch]:
    """One launch of resident programs, which take row after row. Logits and teacher are contiguous."""
    logits, _, _, up = tensors
    rows, classes = logits.shape
    vector = 16 // logits.element_size()
    capped, teacher_capped = numbers.softcap > 0, numbers.teacher_softcap > 0
    more = numbers.direction == JSD.value or capped or teacher_capped
    row = lookup("softmax_kl", _BUCKETS[logits.element_size()] + ", more" * more)
    # No more threads than a row has work for: of short rows more are under way at a time.
    each = max(vector, row.block)
    warps = row.num_warps
    while warps > 1 and 32 * warps * each >= 2 * classes:
        warps //= 2
    at_once = row.programs_per_multiprocessor * (row.num_warps // warps)
    tile: dict[str, Any] = {"LANES": 32 * warps * (each // vector), "VECTOR": vector}
    tile["INT64"] = classes + tile["LANES"] * vector >= 2**31
    if device.target.startswith("cuda"):
        # Or the compiler takes more, and a multiprocessor holds fewer programs.
        threads = 32 * warps * at_once
        tile["maxnreg"] = max(32, min(255, device.registers // threads // 8 * 8))
    constexprs = {
        "DIRECTION": numbers.direction,
        "CAPPED": capped,
        "TEACHER_CAPPED": teacher_capped,
        "SIZE_UNIT": math.gcd(_UNIT, classes),
        **tile,
    }
    up_stride = int(up is not None and not is_one_number(up))
    arguments = (*tensors, up_stride, classes, rows, *numbers[1:])
    programs = min(rows, at_once * device.multiprocessors)
    return [Launch(softmax_kl, (programs,), arguments, constexprs, num_warps=warps)]
