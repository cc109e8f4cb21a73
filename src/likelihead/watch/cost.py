"""What the losses cost in torch and by likelihead's kernels: the recorded shapes, run again at the end.

The values are made up by a generator of its own; the script's generators are not touched.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import likelihead.functional
from likelihead.guard.switch import guard
from likelihead.watch.checks.shapes_seen import Shape
from likelihead.watch.losses import LOSSES
from likelihead.watch.mode import is_theirs
from likelihead.watch.record import Cost, Note, Record

__all__ = ["REPLACEMENTS", "accelerated", "replay"]


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with guard("off"):  # the watch reports by itself; the script's own standard error stays as it was
            return function(*args, **kwargs)

    return call


REPLACEMENTS: dict[str, Callable[..., Any]] = {
    name: _guarded(getattr(likelihead.functional, name))
    for name in LOSSES
    if hasattr(likelihead.functional, name)
}
"""likelihead's functions for torch's, by name; their signatures and answers are the same."""


def accelerated(
    name: str, original: Callable[..., Any], refused: Callable[[str, Exception], None]
) -> Callable[..., Any]:
    """What runs in place of this function of torch: likelihead's, or where it has none torch's own.

    Torch's runs also where likelihead's refuses the call, so that the script sees what it would see without
    the watch: a result, or torch's own words.

    Args:
        name: of the function.
        original: torch's.
        refused: is told of the calls that torch's took and likelihead's did not.
    """
    ours = REPLACEMENTS.get(name)
    if ours is None:
        return original

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return ours(*args, **kwargs)
        except Exception as error:
            result = original(*args, **kwargs)
            refused(name, error)
            return result

    return call


_MOST_REPLAYED = 6
_SECONDS = 0.4  # for the times of one shape
_MEGABYTES = 1024  # what the inputs of a replay may take


def replay(record: Record, seen: dict[Shape, int]) -> None:
    """Time torch's losses and likelihead's, side by side, at the shapes that took most of the numbers."""
    order = sorted(seen, key=lambda shape: -seen[shape] * _numel(shape))[:_MOST_REPLAYED]
    for shape in order:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the profiler, which is no business of the script's
                cost = _measured(shape)
        except Exception as error:  # of memory, mostly: then there is no figure, and the report says why
            text = f"{shape.function} {list(shape.shape)} could not be timed: {type(error).__name__}: {error}"
            record.notes.append(Note("cost", text.splitlines()[0]))
            continue
        if cost is not None:
            record.costs.append(replace(cost, calls=seen[shape]))


def _numel(shape: Shape) -> int:
    count = 1
    for size in shape.shape:
        count *= size
    return count


def _measured(shape: Shape) -> Cost | None:
    if _numel(shape) == 0 or _numel(shape) * shape.dtype.itemsize * 4 > _MEGABYTES << 20:
        return None
    if is_theirs(getattr(F, shape.function)):  # the script's in place of torch's, and not to be called now
        return None
    input, target, options = _made_up(shape)
    # Under a tap torch's own is called, since nothing is watched now.
    losses = [getattr(F, shape.function), REPLACEMENTS[shape.function]]
    times: list[list[float]] = [[], []]
    with torch.enable_grad():
        for which in (0, 1):
            _timed(losses[which], input, target, options)
        began = time.perf_counter()
        while len(times[0]) < 5 or (len(times[0]) < 200 and time.perf_counter() - began < _SECONDS):
            first = len(times[0]) % 2  # the order alternates
            for which in (first, 1 - first):
                times[which].append(_timed(losses[which], input, target, options))
        memory = [_peak_mib(loss, input, target, options) for loss in losses]
    return Cost(
        shape.function,
        shape.shape,
        str(shape.dtype).removeprefix("torch."),
        str(shape.device),
        0,
        1e3 * statistics.median(times[0]),
        1e3 * statistics.median(times[1]),
        memory[0],
        memory[1],
    )


def _made_up(shape: Shape) -> tuple[Tensor, Tensor, dict[str, Any]]:
    generator = torch.Generator(device="cpu").manual_seed(0)
    input = torch.randn(shape.shape, generator=generator)
    spec = LOSSES[shape.function]
    if spec.expects == "log-probabilities":
        input = input.log_softmax(1 if input.dim() > 1 else 0)
    elif spec.expects == "probabilities":
        input = input.sigmoid()
    target = torch.rand(shape.shape, generator=generator)
    if spec.by_class:
        classes = shape.shape[1] if len(shape.shape) > 1 else shape.shape[0]
        if shape.soft:
            target = target.softmax(1 if target.dim() > 1 else 0)
        else:
            sizes = (*shape.shape[:1], *shape.shape[2:]) if len(shape.shape) > 1 else ()
            target = torch.randint(classes, sizes, generator=generator)
    options: dict[str, Any] = {}
    for name, value in shape.options:
        options[name] = (
            torch.ones(value, dtype=shape.dtype, device=shape.device) if isinstance(value, tuple) else value
        )
    input = input.to(shape.device, shape.dtype).requires_grad_()
    target = target.to(shape.device, shape.dtype if target.is_floating_point() else torch.int64)
    return input, target, options


def _timed(loss: Callable[..., Any], input: Tensor, target: Tensor, options: dict[str, Any]) -> float:
    _synchronize(input)
    began = time.perf_counter()
    _step(loss, input, target, options)
    _synchronize(input)
    took = time.perf_counter() - began
    input.grad = None
    return took


def _step(loss: Callable[..., Any], input: Tensor, target: Tensor, options: dict[str, Any]) -> None:
    value = loss(input, target, **options)
    # Not by the method, in whose place the script may have put another.
    torch.autograd.backward(value if value.dim() == 0 else value.sum())


def _synchronize(tensor: Tensor) -> None:
    if tensor.device.type != "cpu":
        torch.accelerator.synchronize(tensor.device)


def _peak_mib(
    loss: Callable[..., Any], input: Tensor, target: Tensor, options: dict[str, Any]
) -> float | None:
    """Extra memory at the worst moment of one call and its gradient, which counts."""
    if input.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(input.device)
        before = torch.cuda.memory_allocated(input.device)
        _step(loss, input, target, options)
        peak = torch.cuda.max_memory_allocated(input.device) - before
    elif input.device.type == "cpu":
        with _silent_profiler() as profiler:
            _step(loss, input, target, options)
        held = peak = 0
        for event in profiler.profiler.kineto_results.events():
            if event.name() == "[memory]":
                held += event.nbytes()
                peak = max(peak, held)
    else:
        return None
    input.grad = None
    return peak / (1 << 20)


@contextlib.contextmanager
def _silent_profiler() -> Iterator[Any]:
    """The profiler of torch, which counts what is allocated and else tells of its start on standard error."""
    before = os.environ.get("KINETO_LOG_LEVEL")
    os.environ["KINETO_LOG_LEVEL"] = "99"
    try:
        with torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
        ) as profiler:
            yield profiler
    finally:
        if before is None:
            del os.environ["KINETO_LOG_LEVEL"]
        else:
            os.environ["KINETO_LOG_LEVEL"] = before
