"""Targets that are out of range, sums of ten million, and more elements than 32 bits count."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

import likelihead
from benchmarks.gpu.device import Device, gib
from benchmarks.gpu.work import Task, Wrong
from likelihead.kernels import dispatch

BAD = 12_345


def tasks(seed: int) -> Iterator[Task]:
    for dtype in (torch.int64, torch.int32, torch.uint8):
        for route in ("mean", "each", "in place"):
            name = str(dtype).removeprefix("torch.")
            yield Task(f"planted/target out of range/{name} {route}", out_of_range, (dtype, route), 4.0)
    yield Task("planted/target out of range/pixels", out_of_range, (torch.int64, "pixels"), 4.0)
    yield Task("planted/target out of range/the next call raises", next_call_raises, (), 4.0)
    yield Task("planted/sum of 10^7/softmax", softmax_sum, (seed,), 6.0)
    yield Task("planted/sum of 10^7/sigmoid", sigmoid_sum, (seed,), 6.0)


def large_tasks(seed: int) -> Iterator[Task]:
    shapes = {
        "rows of a vocabulary": ((17_000, 131_072), (24, 128)),
        "few classes": ((230_000_000, 10), (230, 10)),
        "pixels": ((1, 21, 11_000, 10_000), (1, 21, 5, 7)),
    }
    for name, (real, small) in shapes.items():
        for route in ("mean", "each"):
            yield Task(
                f"large/softmax/{name} {route}", large_softmax, (real, small, route, seed), 20.0, 240.0
            )
    yield Task("large/sigmoid", large_sigmoid, ((2_200_000, 1000), (22, 10), seed), 15.0, 240.0)


def synchronize() -> None:
    """Wait for the device and raise what the kernels have found."""
    likelihead.synchronize()


def out_of_range(device: Device, dtype: torch.dtype, route: str) -> dict[str, Any]:
    """A target of no class: no memory is touched, an IndexError says which, the other rows are right."""
    shape = (6, 5, 11, 7) if route == "pixels" else (40, 130)
    logits, target = _example(device, shape)
    good = target.to(dtype)
    expected = _row_losses(logits, target)
    bad = good.clone()
    # A uint8 holds no class below zero and none far above.
    value = 131 if dtype == torch.uint8 else BAD
    bad.flatten()[17] = value
    leaf = logits.detach().requires_grad_()
    given = leaf * 1 if route == "in place" else leaf
    try:
        if route in ("each", "pixels"):
            nll, _ = dispatch.softmax_nll(given, bad)
            (gradient,) = torch.autograd.grad(nll.sum(), leaf)
        else:
            loss = dispatch.softmax_loss(given, bad, reduction="sum", inplace_backward=route == "in place")
            (gradient,) = torch.autograd.grad(loss, leaf)
            nll = loss.expand(1)
        device.synchronize()
    except IndexError as error:
        if not device.rehearsal:  # the CPU's kernels look first, and so refuse at once
            raise Wrong(f"the call itself raised, so it waited for the device: {error}") from error
        return {"message": _named(error, value)}
    try:
        synchronize()
    except IndexError as error:
        message = _named(error, value)
    else:
        raise Wrong("likelihead.synchronize() did not raise")
    synchronize()  # it is said once
    others = [row for row in range(target.numel()) if row != 17]
    found = nll.detach().flatten().cpu().double()
    if route in ("each", "pixels"):
        _close("the losses beside the bad one", found[others], expected.flatten()[others], 1e-5)
    if route in ("each", "pixels") and not found[17].isnan():
        raise Wrong(f"the loss of the bad target is {float(found[17])}; expected NaN")
    sums = gradient.movedim(1, -1).reshape(target.numel(), -1).double().cpu()[others].sum(1)
    _close("the sum of each other row's gradient", sums, torch.zeros_like(sums), 1e-5)
    right, _ = dispatch.softmax_nll(logits, good)
    _close("the losses of the next call", right.flatten().cpu().double(), expected.flatten(), 1e-5)
    synchronize()
    return {"message": message}


def next_call_raises(device: Device) -> dict[str, Any]:
    """Without `synchronize` the next call says what the last one found."""
    logits, target = _example(device, (40, 130))
    bad = target.clone()
    bad[3] = -7
    try:
        dispatch.softmax_loss(logits, bad)
        device.synchronize()
        dispatch.softmax_loss(logits, target)
    except IndexError as error:
        message = _named(error, -7)
    else:
        raise Wrong("the next call did not raise")
    dispatch.softmax_loss(logits, target)
    synchronize()
    return {"message": message}


def _named(error: IndexError, value: int) -> str:
    if str(value) not in str(error):
        raise Wrong(f"the IndexError names no target {value}: {error}")
    return str(error)


def softmax_sum(device: Device, seed: int) -> dict[str, Any]:
    """A mean of so many keeps the digits of float32."""
    size = device.pick(10_000_000, 1000)
    logits = _drawn(device, (size, 4), torch.float32, seed)
    target = torch.arange(size, device=device.name) % 4
    right = float(_row_losses_there(logits, target).sum()) / size
    return {"relative error": _relative(float(dispatch.softmax_loss(logits, target)), right)}


def sigmoid_sum(device: Device, seed: int) -> dict[str, Any]:
    size = device.pick(10_000_000, 1000)
    logits = _drawn(device, (size,), torch.float32, seed)
    target = (torch.arange(size, device=device.name) % 3 == 0).float()
    right = float(_label_losses(logits, target).sum()) / size
    return {"relative error": _relative(float(dispatch.sigmoid_loss(logits, target)), right)}


def large_softmax(
    device: Device, real: tuple[int, ...], small: tuple[int, ...], route: str, seed: int
) -> dict[str, Any]:
    """Rows at both ends and around the 2^31st element, and the mean over all."""
    shape = device.pick(real, small)
    logits = _drawn(device, shape, torch.bfloat16, seed).requires_grad_()
    rows = (shape[0], *shape[2:])
    target = (torch.arange(math.prod(rows), device=device.name) % shape[1]).reshape(rows)
    if route == "each":
        nll, _ = dispatch.softmax_nll(logits, target)
        nll.sum().backward()  # type: ignore[no-untyped-call]
        count = 1
    else:
        nll = dispatch.softmax_loss(logits, target)
        nll.backward()  # type: ignore[no-untyped-call]
        count = target.numel()
    gradient, flat, losses = logits.grad, target.flatten(), nll.detach().flatten()
    assert gradient is not None
    worst = 0.0
    for at in _telling_rows(target.numel(), shape[1]):
        place = _place(at, rows)
        row = logits.detach()[place].double().cpu()
        right = row.softmax(0)
        right[int(flat[at])] -= 1
        found = gradient[place].double().cpu() * count
        worst = max(worst, float((found - right).abs().max()))
        if route == "each":
            loss = float(torch.logsumexp(row, 0) - row[int(flat[at])])
            if not abs(float(losses[at]) - loss) <= 1e-5 * max(loss, 1.0):
                raise Wrong(f"the loss of row {at} is {float(losses[at])!r}; expected {loss!r}")
    if not worst <= 2**-8:
        raise Wrong(f"the gradient of a row is off by {worst:.3g}")
    found_all = {"gib": round(gib(shape, torch.bfloat16), 1), "worst": worst}
    if route == "mean":
        total = sum(
            float(_row_losses_there(part, labels).sum())
            for part, labels in _parts(logits.detach(), target, device)
        )
        found_all["relative error"] = _relative(float(losses), total / target.numel())
    return found_all


def large_sigmoid(device: Device, real: tuple[int, ...], small: tuple[int, ...], seed: int) -> dict[str, Any]:
    shape = device.pick(real, small)
    logits = _drawn(device, shape, torch.bfloat16, seed).requires_grad_()
    target = torch.zeros(shape, dtype=torch.bool, device=device.name)
    target[:, ::3] = True
    loss = dispatch.sigmoid_loss(logits, target)
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    worst = 0.0
    for row in (0, shape[0] * 31 // 32, shape[0] - 1):
        right = torch.sigmoid(logits.detach()[row].double()) - target[row].double()
        found = logits.grad[row].double() * target.numel()
        worst = max(worst, float((found - right).abs().max()))
    if not worst <= 2**-8:
        raise Wrong(f"the gradient of a row is off by {worst:.3g}")
    total = sum(
        float(_label_losses(logits.detach()[at : at + 2**15], target[at : at + 2**15]).sum())
        for at in range(0, shape[0], 2**15)
    )
    return {"worst": worst, "relative error": _relative(float(loss.detach()), total / target.numel())}


def _example(device: Device, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    rows = (shape[0], *shape[2:])
    target = torch.randint(shape[1], rows, generator=generator)
    return torch.randn(shape, generator=generator).to(device.name), target.to(device.name)


def _drawn(device: Device, shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> Tensor:
    generator = torch.Generator(device.name).manual_seed(seed)
    return torch.empty(shape, dtype=dtype, device=device.name).normal_(0, 2, generator=generator)


def _row_losses(logits: Tensor, target: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits.double().cpu(), target.cpu(), reduction="none")


def _row_losses_there(logits: Tensor, target: Tensor) -> Tensor:
    wide = logits.double()
    return torch.logsumexp(wide, 1) - wide.gather(1, target.unsqueeze(1)).squeeze(1)


def _label_losses(logits: Tensor, target: Tensor) -> Tensor:
    wide = logits.double()
    return torch.nn.functional.binary_cross_entropy_with_logits(wide, target.double(), reduction="none")


def _parts(logits: Tensor, target: Tensor, device: Device) -> Iterator[tuple[Tensor, Tensor]]:
    """Pieces whose float64 copies are small beside the whole."""
    dim = 0 if logits.dim() == 2 else 2
    size = max(1, 2**27 // (logits.numel() // logits.shape[dim]))
    pieces = logits.split(size, dim), target.split(size, 0 if dim == 0 else 1)
    return zip(*pieces, strict=True)


def _telling_rows(count: int, num_classes: int) -> list[int]:
    around = 2**31 // num_classes
    return sorted(
        {row for row in (0, 1, count // 2, around - 1, around, around + 1, count - 1) if row < count}
    )


def _place(at: int, rows: tuple[int, ...]) -> tuple[Any, ...]:
    """Where the logits of a row are."""
    first, *others = (int(index) for index in torch.unravel_index(torch.tensor(at), rows))
    return (first, slice(None), *others)


def _relative(found: float, right: float) -> float:
    error = abs(found / right - 1)
    if not error <= 4 * torch.finfo(torch.float32).eps:
        raise Wrong(f"the mean is {found!r}; expected {right!r}")
    return error


def _close(what: str, found: Tensor, right: Tensor, tolerance: float) -> None:
    error = float((found - right).abs().max())
    if not error <= tolerance:
        raise Wrong(f"{what}: off by {error:.3g}")
