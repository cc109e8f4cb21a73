"""What is promised beside the numbers: no waiting, capture, one graph, other streams, little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

import likelihead.functional
from benchmarks.gpu.device import Device
from benchmarks.gpu.work import Task, Wrong
from likelihead.kernels import dispatch

Loss = Callable[[Tensor], Tensor]
SLACK = 2**20
"""Bytes that a loss may take beside its gradient and one number or two per row."""
KINDS = (
    "softmax",
    "softmax with options",
    "softmax of pixels",
    "softmax of long rows",
    "softmax in place",
    "sigmoid",
)


def tasks() -> Iterator[Task]:
    for kind in KINDS:
        for name, function in (
            ("never waits", never_waits),
            ("is captured", is_captured),
            ("on another stream", on_another_stream),
            ("peak memory", peak_memory),
        ):
            yield Task(f"behaviour/{name}/{kind}", function, (kind,), 4.0)
    for kind in ("softmax", "softmax with options", "softmax of pixels", "sigmoid"):
        yield Task(f"behaviour/one graph/{kind}", one_graph, (kind,), 25.0, 200.0)
    for kind in ("softmax", "softmax of pixels", "sigmoid"):
        yield Task(f"behaviour/differentiated twice/{kind}", differentiated_twice, (kind,), 4.0)


def never_waits(device: Device, kind: str) -> dict[str, Any]:
    """Once its kernels are there, no call waits for the device."""
    loss, logits = _problem(device, kind)
    _gradient(loss, logits)
    with device.forbid_waiting():
        for _ in range(3):
            _gradient(loss, logits)
        with torch.no_grad():
            loss(logits)
    return {"backend": device.backend("softmax_nll", logits)}


def is_captured(device: Device, kind: str) -> dict[str, Any]:
    """A CUDA graph of loss and gradient, replayed over other numbers, finds what a call finds."""
    loss, logits = _problem(device, kind)
    replay, (value, gradient) = device.capture(lambda: _gradient(loss, logits))
    with torch.no_grad():
        logits.mul_(0.5).add_(0.25)
    replay()
    device.synchronize()
    _same("in a replayed graph", (value, gradient), _gradient(loss, logits))
    return {}


def on_another_stream(device: Device, kind: str) -> dict[str, Any]:
    """The kernels run on the stream that is current, behind what was queued on it."""
    loss, logits = _problem(device, kind)
    expected = _gradient(loss, logits)
    device.synchronize()
    with device.aside():
        late = torch.full_like(logits, 3.0)
        for _ in range(device.pick(50, 1)):
            late = late.mul_(1.0)
        late.copy_(logits.detach())
        found = _gradient(loss, late.detach().requires_grad_())
    device.synchronize()
    _same("on another stream", found, expected)
    return {}


def one_graph(device: Device, kind: str) -> dict[str, Any]:
    """torch.compile without a break gives what eager gives."""
    loss, logits = _problem(device, kind)
    torch._dynamo.reset()
    backend = device.pick("inductor", "aot_eager")  # a rehearsal has no use for a C++ compiler
    compiled = torch.compile(loss, fullgraph=True, backend=backend)
    _same("under torch.compile", _gradient(compiled, logits), _gradient(loss, logits), exactly=False)
    return {}


def differentiated_twice(device: Device, kind: str) -> dict[str, Any]:
    """Gradients of gradients, which the reference backend makes from what the kernels kept."""
    loss, logits = _problem(device, kind)
    (first,) = torch.autograd.grad(loss(logits), logits, create_graph=True)
    (second,) = torch.autograd.grad((first * first).sum() * 1e3, logits)
    with dispatch.use_backend("reference"):
        (first,) = torch.autograd.grad(loss(logits), logits, create_graph=True)
        (expected,) = torch.autograd.grad((first * first).sum() * 1e3, logits)
    _same("of second order", (second,), (expected,), exactly=False)
    return {}


def peak_memory(device: Device, kind: str) -> dict[str, Any]:
    """A loss and its gradient take the gradient's memory and a few numbers per row; in place, those alone."""
    loss, logits = _problem(device, kind, device.pick(16, 1))
    _gradient(loss, logits)
    device.clear()
    given = logits.detach().requires_grad_()
    if kind == "softmax in place":
        held = [given.clone()]  # whose way back to the leaf takes no memory

        def step() -> object:
            return _in_place(held.pop())

        allowed = 0
    else:

        def step() -> object:
            return _gradient(loss, given)

        allowed = logits.numel() * logits.element_size()
    extra = device.extra_bytes(step)
    rows = logits.numel() if kind == "sigmoid" else logits.numel() // logits.shape[1]
    per_row = 0 if kind == "sigmoid" else 16 * rows
    if extra > allowed + per_row + SLACK:
        raise Wrong(f"{extra / 2**20:.1f} MiB at the peak; expected the gradient's {allowed / 2**20:.1f} MiB")
    return {"extra_mib": round(extra / 2**20, 2), "gradient_mib": round(allowed / 2**20, 2)}


def _problem(device: Device, kind: str, times: int = 1) -> tuple[Loss, Tensor]:
    generator = torch.Generator().manual_seed(11)
    shape = {
        "softmax of pixels": (2 * times, 21, device.pick(64, 6), device.pick(64, 6)),
        "softmax of long rows": (8 * times, device.pick(65_536, 600)),
    }.get(kind, (device.pick(256, 8) * times, device.pick(4096, 40)))
    logits = torch.randn(shape, generator=generator).to(device.name).requires_grad_()
    rows = (shape[0], *shape[2:])
    if kind == "sigmoid":
        labels = (torch.rand(shape, generator=generator) < 0.3).float().to(device.name)
        functions = likelihead.functional
        return lambda x: functions.binary_cross_entropy_with_logits(x, labels), logits
    target = torch.randint(shape[1], rows, generator=generator).to(device.name)
    options: dict[str, Any] = {}
    if kind == "softmax with options":
        weight = torch.rand(shape[1], generator=generator).to(device.name)
        options = {"weight": weight, "label_smoothing": 0.1}
    if kind == "softmax in place":
        return lambda x: likelihead.functional.cross_entropy(x * 1, target, inplace_backward=True), logits
    return lambda x: likelihead.functional.cross_entropy(x, target, **options), logits


def _in_place(logits: Tensor) -> object:
    target = torch.zeros(logits.shape[0], dtype=torch.int64, device=logits.device)
    loss = likelihead.functional.cross_entropy(logits, target, inplace_backward=True)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss


def _gradient(loss: Loss, logits: Tensor) -> tuple[Tensor, Tensor]:
    value = loss(logits)
    (gradient,) = torch.autograd.grad(value, logits)
    return value.detach(), gradient


def _same(
    where: str, found: tuple[Tensor, ...], expected: tuple[Tensor, ...], *, exactly: bool = True
) -> None:
    for name, got, right in zip(("value", "gradient")[-len(found) :], found, expected, strict=True):
        tolerance = 0.0 if exactly else 1e-5 * float(right.abs().max())
        error = float((got - right).abs().max())
        if not error <= tolerance:
            raise Wrong(f"the {name} {where} is off by {error:.3g}")
