"""sigmoid_nll on the GPU: from a call's tensors to its launches.

One op for each of ``torch.ops.likelihead.sigmoid_*``, with the arguments of its schema, and the plan that it
runs, a pure function of the tensors' shapes, strides and dtypes, the options and the `Device`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from likelihead.kernels.ops import compute_dtype
from likelihead.kernels.triton.launch import Device, Launch, run
from likelihead.kernels.triton.layout import lay_out
from likelihead.kernels.triton.sigmoid_kernel import (
    LOGITS,
    UPSTREAM,
    WEIGHT,
    count_kernel,
    sigmoid_again_kernel,
    sigmoid_kernel,
)
from likelihead.kernels.triton.sums import partial_sums, second_stage
from likelihead.kernels.triton.tunables import Tunable, generation, lookup

__all__ = [
    "plan_backward",
    "plan_loss",
    "plan_loss_backward",
    "plan_nll",
    "sigmoid_loss",
    "sigmoid_loss_backward_",
    "sigmoid_nll",
    "sigmoid_nll_backward",
]

_BUCKETS = {torch.float32: "float32", torch.float64: "float64"}


def sigmoid_nll(logits: Tensor, target: Tensor, *options: Any) -> Tensor:
    launches, nll = plan_nll(logits, target, *options, device=Device.of(logits.device))
    run(launches)
    return nll


def sigmoid_nll_backward(
    grad_nll: Tensor, scale: float, logits: Tensor, target: Tensor, *options: Any
) -> Tensor:
    device = Device.of(logits.device)
    launches, grad = plan_backward(grad_nll, scale, logits, target, *options, device=device)
    run(launches)
    return grad


def sigmoid_loss(logits: Tensor, target: Tensor, *options: Any) -> tuple[Tensor, Tensor]:
    launches, loss, grad = plan_loss(logits, target, *options, device=Device.of(logits.device))
    run(launches)
    return loss, grad


def sigmoid_loss_backward_(
    grad: Tensor, upstream: Tensor, logits: Tensor, target: Tensor, *options: Any
) -> None:
    device = Device.of(logits.device)
    run(plan_loss_backward(grad, upstream, logits, target, *options, device=device))


def plan_nll(logits: Tensor, target: Tensor, *options: Any, device: Device) -> tuple[list[Launch], Tensor]:
    """The launches of ``sigmoid_nll``, and what they fill."""
    nll = torch.empty(logits.shape, dtype=compute_dtype(logits.dtype), device=logits.device)
    call = _Call(logits, target, options, device, nll=nll)
    return call.launch(), nll


def plan_backward(
    grad_nll: Tensor, scale: float, logits: Tensor, target: Tensor, *options: Any, device: Device
) -> tuple[list[Launch], Tensor]:
    """The launches of ``sigmoid_nll_backward``, and what they fill."""
    grad = torch.empty_like(logits, memory_format=torch.contiguous_format)
    call = _Call(logits, target, options, device, grad=grad, upstream=_there(grad_nll, logits))
    return call.launch(scale=scale), grad


def plan_loss(
    logits: Tensor, target: Tensor, *options: Any, device: Device
) -> tuple[list[Launch], Tensor, Tensor]:
    """The launches of ``sigmoid_loss``, the loss and the gradient (of no elements where none is wanted)."""
    *options_, mean, normalizer, with_grad = options
    loss = torch.empty((), dtype=compute_dtype(logits.dtype), device=logits.device)
    grad = torch.empty_like(logits) if with_grad else None
    call = _Call(logits, target, options_, device, grad=grad)
    sums = partial_sums(logits, call.programs)
    divisor = call.divisor(mean, normalizer)
    launches: list[Launch] = []
    counts = count = None
    if divisor is None and with_grad:
        count = torch.empty((), dtype=torch.float64, device=logits.device)
        launches += call.count(count)
    elif divisor is None:
        counts = partial_sums(logits, call.programs)
    launches += call.launch(sums=sums, counts=counts, count=count, scale=_inverse(divisor))
    launches.append(second_stage(sums, loss, counts=count if counts is None else counts, divisor=divisor))
    return launches, loss, logits.new_empty(0) if grad is None else grad


def plan_loss_backward(
    grad: Tensor, upstream: Tensor, logits: Tensor, target: Tensor, *options: Any, device: Device
) -> list[Launch]:
    """The launches of ``sigmoid_loss_backward_``, which decide on the device what there is to do."""
    *options_, mean, normalizer = options
    call = _Call(logits, target, options_, device, grad=grad)
    divisor = call.divisor(mean, normalizer)
    launches: list[Launch] = []
    count = None
    if divisor is None:
        count = torch.empty((), dtype=torch.float64, device=logits.device)
        launches += call.count(count, number=upstream)
    launches.append(call.again(upstream, count=count, scale=_inverse(divisor)))
    return launches


def _inverse(divisor: float | None) -> float:
    if divisor is None:
        return 1.0
    return 1.0 / divisor if divisor else math.inf


def _there(tensor: Tensor, logits: Tensor) -> Tensor:
    """On the logits' device: a number on the CPU stands for itself beside any. Waits for nothing."""
    if tensor.device == logits.device or not tensor.is_cpu:
        return tensor
    return torch.full((), tensor.item(), dtype=torch.float64, device=logits.device)


def _as_bytes(tensor: Tensor) -> Tensor:
    return tensor.view(torch.uint8) if tensor.dtype == torch.bool else tensor


@dataclass(frozen=True)
class _Shares:
    """How the elements of a call are shared out: the same for all calls of its shape."""

    tunable: Tunable
    grid: tuple[int, int]
    constexprs: dict[str, Any]
    geometry: tuple[Any, ...]


# Kept, since it takes Python longer than the rest of the call before the launch.
@lru_cache(maxsize=512)
def _share_out(
    shape: tuple[int, ...],
    strides: tuple[tuple[int, ...] | None, ...],
    order: tuple[int, ...],
    dtype: torch.dtype,
    device: Device,
    generation: int,
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

    def __init__(
        self,
        logits: Tensor,
        target: Tensor,
        options: Sequence[Any],
        device: Device,
        *,
        nll: Tensor | None = None,
        grad: Tensor | None = None,
        upstream: Tensor | None = None,
    ) -> None:
        weight, pos_weight, mask, skip_nan, nonfinite, smoothing, prior, gamma, alpha, sample_weight = options
        shape = logits.shape

        def over(tensor: Tensor | None) -> Tensor | None:
            if tensor is None:
                return None
            tensor = _as_bytes(_there(tensor, logits))
            return (tensor.reshape(()) if tensor.numel() == 1 else tensor).expand(shape)

        if sample_weight is not None:
            trailing = [1] * (len(shape) - sample_weight.dim())
            sample_weight = sample_weight.reshape((*sample_weight.shape, *trailing))
        self.elements, self.element_size = logits.numel(), logits.element_size()
        self.number = None
        if upstream is not None and not any(
            size > 1 and stride for size, stride in zip(upstream.shape, upstream.stride(), strict=True)
        ):
            self.number, upstream = upstream, None
        self.tensors = [
            logits,
            over(target),
            over(weight),
            over(pos_weight),
            over(mask),
            over(prior) if smoothing > 0 else None,
            over(sample_weight),
            upstream,
            nll,
            grad,
        ]
        self.skip_nan = skip_nan and target.is_floating_point()
        self.numbers = (float(smoothing), float(gamma), float(alpha))
        halves = int(2 * gamma) if 0 < gamma <= 16 and 2 * gamma == int(2 * gamma) else 0
        self.options = (
            self.skip_nan,
            bool(nonfinite),
            smoothing > 0,
            gamma > 0,
            halves,
            alpha >= 0,
        )
        output = grad if grad is not None else nll if nll is not None else logits
        self.shares = _share_out(
            shape,
            tuple([None if t is None else t.stride() for t in self.tensors]),
            output.stride(),
            logits.dtype,
            device,
            generation(),
        )
        self.programs = self.shares.grid[0] * self.shares.grid[1]
        self.narrow = logits.dtype in (torch.bfloat16, torch.float16)

    def divisor(self, mean: bool, normalizer: float | None) -> float | None:
        """What the sum is divided by, or None where the device alone knows."""
        if not mean:
            return 1.0
        if normalizer is not None:
            return normalizer
        *_, mask, _, sample_weight, _, _, _ = self.tensors
        if self.skip_nan or mask is not None or sample_weight is not None:
            return None
        return float(self.elements)

    def launch(
        self,
        *,
        sums: Tensor | None = None,
        counts: Tensor | None = None,
        count: Tensor | None = None,
        scale: float = 1.0,
    ) -> list[Launch]:
        plain = not any(self.options[2:]) and self.tensors[3] is None
        careful = not (plain and self.narrow and sums is not None)
        return [
            Launch(
                sigmoid_kernel,
                self.shares.grid,
                (
                    *self.tensors,
                    self.number,
                    count,
                    sums,
                    counts,
                    *self.shares.geometry,
                    *self.numbers,
                    scale,
                ),
                {
                    **self.shares.constexprs,
                    "NARROW": self.narrow,
                    "OPTIONS": self.options,
                    "CAREFUL": careful,
                },
                num_warps=self.shares.tunable.num_warps,
                num_stages=self.shares.tunable.num_stages,
            )
        ]

    def again(self, number: Tensor, *, count: Tensor | None, scale: float) -> Launch:
        *inputs, _, _, grad = self.tensors
        return Launch(
            sigmoid_again_kernel,
            self.shares.grid,
            (*inputs, grad, number, count, self.elements, *self.shares.geometry, *self.numbers, scale),
            {**self.shares.constexprs, "NARROW": self.narrow, "OPTIONS": self.options},
            num_warps=self.shares.tunable.num_warps,
            num_stages=self.shares.tunable.num_stages,
        )

    def count(self, count: Tensor, *, number: Tensor | None = None) -> list[Launch]:
        """What the mean divides by, into ``count``."""
        _, target, _, _, mask, _, sample_weight, *_ = self.tensors
        counts = partial_sums(count, self.programs)
        return [
            Launch(
                count_kernel,
                self.shares.grid,
                (target, mask, sample_weight, number, counts, *self.shares.geometry),
                {**self.shares.constexprs, "SKIP_NAN": self.skip_nan},
                num_warps=self.shares.tunable.num_warps,
                num_stages=self.shares.tunable.num_stages,
            ),
            second_stage(counts, count),
        ]
