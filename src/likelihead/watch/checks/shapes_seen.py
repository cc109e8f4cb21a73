"""How many training calls there were of each shape: what they cost is timed at the end (`cost`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import likelihead.functional
from likelihead.watch.call import LossCall
from likelihead.watch.checks.base import Check
from likelihead.watch.losses import LOSSES

__all__ = ["Shape", "Shapes"]

_MOST_SHAPES = 64
# Of a linear loss the head is no option, and what it costs no matter of one shape.
_TIMED = frozenset(name for name in LOSSES if hasattr(likelihead.functional, name)) - {"linear_cross_entropy"}


@dataclass(frozen=True)
class Shape:
    """What a call's time depends on."""

    function: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    soft: bool
    options: tuple[tuple[str, Any], ...]


class Shapes(Check):
    """Counts the training calls by shape."""

    def __init__(self, session: Any) -> None:
        super().__init__(session)
        self.seen: dict[Shape, int] = {}

    def counted(self, call: LossCall) -> None:
        if call.phase != "training" or call.spec.name not in _TIMED or call.spec.library != "torch":
            return
        if call.input is None or not isinstance(call.target, Tensor):
            return
        shape = _shape(call, call.input, soft=call.target.is_floating_point())
        if shape in self.seen or len(self.seen) < _MOST_SHAPES:
            self.seen[shape] = self.seen.get(shape, 0) + 1


def _shape(call: LossCall, input: Tensor, *, soft: bool) -> Shape:
    options = tuple(
        (name, tuple(value.shape) if isinstance(value, Tensor) else value)
        for name, value in sorted(call.options.items())
        if value is not None and isinstance(value, (Tensor, int, float, str))
    )
    return Shape(call.spec.name, call.input_shape, input.dtype, input.device, soft, options)
