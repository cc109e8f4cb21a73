"""sigmoid_nll on the GPU: from a call's tensors to its launches.

One op for each of ``torch.ops.likelihead.sigmoid_*``, with the arguments of its schema, and the plan that it
runs, a pure function of the tensors' shapes, strides and dtypes, the options and the `Device`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import torch
import triton
import triton.language as tl
from torch import Tensor

from likelihead.kernels.ops import compute_dtype
from likelihead.kernels.triton.launch import Device, Launch
from likelihead.kernels.triton.layout import lay_out
from likelihead.kernels.triton.plans import Room, is_one_number, launch
from likelihead.kernels.triton.sigmoid_kernel import (
    LOGITS,
    UPSTREAM,
    WEIGHT,
    count_kernel,
    sigmoid_again_kernel,
    sigmoid_kernel,
)
from likelihead.kernels.triton.sums import second_stage
from likelihead.kernels.triton.tunables import Tunable, lookup

__all__ = [
    "Numbers",
    "Tensors",
    "plan",
    "plan_again",
    "sigmoid_loss",
    "sigmoid_loss_backward_",
    "sigmoid_nll",
    "sigmoid_nll_backward",
]

_BUCKETS = {torch.float32: "float32", torch.float64: "float64"}


class Tensors(NamedTuple):
    """The tensors of a call; the first ten are those of the kernels, in their order.

    Attributes:
        upstream: of the nll, one number or one for each element.
        number: the upstream gradient of a reduced loss whose gradient for 1 is there already.
        nll, grad, loss: to be written.
    """

    logits: Tensor
    target: Tensor
    weight: Tensor | None = None
    pos_weight: Tensor | None = None
    mask: Tensor | None = None
    prior: Tensor | None = None
    sample_weight: Tensor | None = None
    upstream: Tensor | None = None
    nll: Tensor | None = None
    grad: Tensor | None = None
    loss: Tensor | None = None
    number: Tensor | None = None


class Numbers(NamedTuple):
    """The numbers of a call; a sum is divided by ``divisor``, or what the device counts where it is None."""

    skip_nan_target: bool = True
    torch_nonfinite: bool = False
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    focal_alpha: float = -1.0
    scale: float = 1.0
    divisor: float | None = 1.0


def sigmoid_nll(logits: Tensor, target: Tensor, *options: Any) -> Tensor:
    nll = torch.empty(logits.shape, dtype=compute_dtype(logits.dtype), device=logits.device)
    tensors, numbers = _sorted(logits, target, options)
    launch(plan, Tensors(*tensors, None, nll), Numbers(*numbers))
    return nll


def sigmoid_nll_backward(
    grad_nll: Tensor, scale: float, logits: Tensor, target: Tensor, *options: Any
) -> Tensor:
    grad = torch.empty_like(logits, memory_format=torch.contiguous_format)
    tensors, numbers = _sorted(logits, target, options)
    upstream = _taken(grad_nll, logits)
    launch(plan, Tensors(*tensors, upstream, None, grad), Numbers(*numbers, scale))
    return grad


def sigmoid_loss(logits: Tensor, target: Tensor, *options: Any) -> tuple[Tensor, Tensor]:
    *options_, mean, normalizer, with_grad = options
    loss = torch.empty((), dtype=compute_dtype(logits.dtype), device=logits.device)
    grad = torch.empty_like(logits) if with_grad else None
    tensors, numbers = _sorted(logits, target, options_)
    divisor = _divisor(tensors, numbers, mean, normalizer)
    launch(plan, Tensors(*tensors, None, None, grad, loss), Numbers(*numbers, 1.0, divisor))
    return loss, logits.new_empty(0) if grad is None else grad


def sigmoid_loss_backward_(
    grad: Tensor, upstream: Tensor, logits: Tensor, target: Tensor, *options: Any
) -> None:
    *options_, mean, normalizer = options
    tensors, numbers = _sorted(logits, target, options_)
    divisor = _divisor(tensors, numbers, mean, normalizer)
    launch(plan_again, Tensors(*tensors, None, None, grad, None, upstream), Numbers(*numbers, 1.0, divisor))


_Optional: TypeAlias = "Tensor | None"
_Given: TypeAlias = tuple[Tensor, Tensor, _Optional, _Optional, _Optional, _Optional, _Optional]
_Options: TypeAlias = tuple[bool, bool, float, float, float]


def _sorted(logits: Tensor, target: Tensor, options: Any) -> tuple[_Given, _Options]:
    """The tensors of an op as the kernels take them, in the order of `Tensors`, and its numbers."""
    weight, pos_weight, mask, skip_nan, nonfinite, smoothing, prior, gamma, alpha, sample_weight = options
    tensors = (
        logits,
        _taken(target, logits),
        None if weight is None else _taken(weight, logits),
        None if pos_weight is None else _taken(pos_weight, logits),
        None if mask is None else _taken(mask, logits),
        None if prior is None or smoothing <= 0 else _taken(prior, logits),
        None if sample_weight is None else _taken(sample_weight, logits),
    )
    return tensors, (skip_nan and target.is_floating_point(), nonfinite, smoothing, gamma, alpha)


def _divisor(tensors: _Given, numbers: _Options, mean: bool, normalizer: float | None) -> float | None:
    """What the sum is divided by, or None where the device alone knows."""
    if not mean:
        return 1.0
    if normalizer is not None:
        return normalizer
    logits, _, _, _, mask, _, sample_weight = tensors
    skip_nan = numbers[0]
    if skip_nan or mask is not None or sample_weight is not None:
        return None
    return float(logits.numel())


def _taken(tensor: Tensor, logits: Tensor) -> Tensor:
    """As a kernel takes it: on the logits' device, bytes for booleans. Waits for nothing."""
    if tensor.is_cpu and not logits.is_cpu:
        # A number on the CPU stands for itself beside any device.
        tensor = torch.full((), tensor.item(), dtype=torch.float64, device=logits.device)
    return tensor.view(torch.uint8) if tensor.dtype == torch.bool else tensor


def plan(tensors: Tensors, numbers: Numbers, device: Device, room: Room) -> list[Launch]:
    """The launches of all ops but ``sigmoid_loss_backward_``."""
    call = _Call(tensors, numbers, device)
    loss, divisor = tensors.loss, numbers.divisor
    if loss is None:
        return [call.launch()]
    sums = room.take(call.programs)
    if divisor is not None:
        launches = [call.launch(sums=sums, scale=_inverse(divisor))]
        return [*launches, second_stage(sums, loss, divisor=divisor)]
    if tensors.grad is None:
        counts = room.take(call.programs)
        launches = [call.launch(sums=sums, counts=counts)]
        return [*launches, second_stage(sums, loss, counts=counts)]
    count = room.take(1)
    launches = call.count(count, room)
    launches.append(call.launch(sums=sums, count=count))
    return [*launches, second_stage(sums, loss, counts=count)]


def plan_again(tensors: Tensors, numbers: Numbers, device: Device, room: Room) -> list[Launch]:
    """The launches of ``sigmoid_loss_backward_``, which decide on the device what there is to do."""
    call = _Call(tensors, numbers, device)
    launches: list[Launch] = []
    count = None
    if numbers.divisor is None:
        count = room.take(1)
        launches += call.count(count, room)
    launches.append(call.again(count=count, scale=_inverse(numbers.divisor)))
    return launches


def _inverse(divisor: float | None) -> float:
    if divisor is None:
        return 1.0
    return 1.0 / divisor if divisor else math.inf


@dataclass(frozen=True)
class _Shares:
    """How the elements of a call are shared out."""

    tunable: Tunable
    grid: tuple[int, int]
    constexprs: dict[str, Any]
    geometry: tuple[Any, ...]


def _share_out(
    shape: tuple[int, ...],
    strides: tuple[tuple[int, ...] | None, ...],
    order: tuple[int, ...],
    dtype: torch.dtype,
    device: Device,
) -> _Shares:
    layout = lay_out(shape, strides, order)
    more = any(strides[i] is not None for i in range(WEIGHT, UPSTREAM))
    tunable = lookup("sigmoid", _BUCKETS.get(dtype, "16-bit") + (", more" if more else ""))
    resident = device.multiprocessors * tunable.programs_per_multiprocessor
    columns = tunable.block
    outer = len(layout.sizes)
    if not layout.flat:
        columns = max(1, min(triton.next_power_of_2(layout.columns), columns))
        along = layout.strides[LOGITS]
        if along is not None and along[-1] != 1:
            columns = min(columns, 64)  # across the logits' memory: whole sectors of it all the same
    rows = tunable.block // columns
    across = min(triton.cdiv(layout.columns, columns), resident)
    down = min(triton.cdiv(layout.rows, rows), max(1, resident // max(across, 1)))
    constexprs = {
        "MODES": layout.modes,
        "ROWS": rows,
        "COLUMNS": columns,
        "OUTER": outer,
        "VECTORS": layout.vectors,
        "HEIGHT": (16 // dtype.itemsize).bit_length() - 1,
        "WIDE": tl.float64 if dtype == torch.float64 else tl.float32,
    }
    all_strides = tuple(n for s in layout.strides for n in (s or (0,) * (outer + 1)))
    return _Shares(
        tunable,
        (across, down),
        constexprs,
        (layout.rows, layout.columns, layout.sizes, all_strides),
    )


class _Call:
    """A call's tensors over the logits' shape, its options, and how its elements are shared out."""

    def __init__(self, tensors: Tensors, numbers: Numbers, device: Device) -> None:
        logits, _, _, pos_weight, *_, sample_weight, upstream, nll, grad, _, self.number = tensors
        skip_nan, nonfinite, smoothing, gamma, alpha, _, _ = numbers
        shape = logits.shape
        # One number for all goes beside those that there is one of for each element.
        self.one = None
        if upstream is not None and is_one_number(upstream):
            self.one = upstream
            tensors = tensors._replace(upstream=None)
        self.tensors = tensors[:10]
        if sample_weight is not None:
            trailing = [1] * (len(shape) - sample_weight.dim())
            tensors = tensors._replace(sample_weight=sample_weight.reshape((*sample_weight.shape, *trailing)))

        def over(tensor: Tensor | None) -> tuple[int, ...] | None:
            if tensor is None:
                return None
            return (tensor.reshape(()) if tensor.numel() == 1 else tensor).expand(shape).stride()

        self.numbers = (float(smoothing), float(gamma), float(alpha))
        halves = int(2 * gamma) if 0 < gamma <= 16 and 2 * gamma == int(2 * gamma) else 0
        self.options = (
            bool(skip_nan),
            bool(nonfinite),
            smoothing > 0,
            gamma > 0,
            halves,
            alpha >= 0,
        )
        self.scale = numbers.scale
        self.elements = logits.numel()
        output = grad if grad is not None else nll if nll is not None else logits
        strides = tuple([over(t) for t in tensors[:10]])
        self.shares = _share_out(shape, strides, output.stride(), logits.dtype, device)
        self.programs = self.shares.grid[0] * self.shares.grid[1]
        self.narrow = logits.dtype in (torch.bfloat16, torch.float16)
        self.plain = not any(self.options[2:]) and pos_weight is None

    def launch(
        self,
        *,
        sums: Tensor | None = None,
        counts: Tensor | None = None,
        count: Tensor | None = None,
        scale: float = 1.0,
    ) -> Launch:
        careful = not (self.plain and self.narrow and sums is not None)
        outputs = (self.one, count, sums, counts)
        arguments = (*self.tensors, *outputs, *self.shares.geometry, *self.numbers, self.scale * scale)
        return self._launch(sigmoid_kernel, arguments, OPTIONS=self.options, CAREFUL=careful)

    def again(self, *, count: Tensor | None, scale: float) -> Launch:
        *inputs, _, _, grad = self.tensors
        given = (*inputs, grad, self.number, count, self.elements)
        arguments = (*given, *self.shares.geometry, *self.numbers, scale)
        return self._launch(sigmoid_again_kernel, arguments, OPTIONS=self.options)

    def count(self, count: Tensor, room: Room) -> list[Launch]:
        """What the mean divides by, into ``count``."""
        _, target, _, _, mask, _, sample_weight, *_ = self.tensors
        counts = room.take(self.programs)
        arguments = (target, mask, sample_weight, self.number, counts, *self.shares.geometry)
        counting = self._launch(count_kernel, arguments, SKIP_NAN=self.options[0])
        return [counting, second_stage(counts, count)]

    def _launch(self, kernel: Any, arguments: tuple[Any, ...], **constexprs: Any) -> Launch:
        shared = self.shares.constexprs
        if kernel is not count_kernel:
            shared = {**shared, "NARROW": self.narrow}
        tunable = self.shares.tunable
        return Launch(
            kernel,
            self.shares.grid,
            arguments,
            {**shared, **constexprs},
            num_warps=tunable.num_warps,
            num_stages=tunable.num_stages,
        )
