"""A call of each kind that a kernel makes a difference of, small enough for an interpreter, and its answer.

Every fast backend takes them all, and each wrong kernel that is planted in a test must fail one of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kernel_cases import TOLERANCE, compare, seeded
from likelihead.kernels import dispatch

Check = Callable[[], None]


def softmax_checks() -> dict[str, Check]:
    """By name."""
    return {
        **{f"rows of {c}": _rows(c) for c in (2, 5, 37, 128, 300, 1000, 5000)},
        "a long row": _rows(40_000, rows=2),
        "pixels": _pixels((2, 5, 19), torch.contiguous_format),
        "channels last": _pixels((2, 21, 3, 7), torch.channels_last),
        "far apart": _rows(300, layout=lambda x: torch.stack([x, -x], -1)[..., 0]),
        "transposed": _rows(40, layout=lambda x: x.t().contiguous().t()),
        **{f"{dtype}": _rows(130, dtype=dtype) for dtype in TOLERANCE},
        **{f"options of {c}": _options(c) for c in (7, 300, 5000)},
        **{f"probabilities of {c}": _options(c, soft=True) for c in (7, 300, 5000)},
        "ignored": _ignored,
        "four dimensions apart": _rows_of_pixels,
        "beyond 2^31": _beyond,
        **{f"confident in one of {c}": _confident(c) for c in (2, 40, 300, 5000, 40_000)},
        **{f"a total, {reduction}": _total(reduction) for reduction in ("sum", "mean")},
    }


def sigmoid_checks() -> dict[str, Check]:
    """By name."""
    return {
        **{f"{dtype}": _labels((3, 17), dtype=dtype) for dtype in TOLERANCE},
        **{f"{n} elements": _labels((n,)) for n in (1, 511, 513, 5000)},
        "far apart": _labels((40, 7), layout=lambda x: torch.stack([x, -x], -1)[..., 0]),
        "transposed": _labels((40, 7), layout=lambda x: x.t().contiguous().t()),
        "channels last": _labels((2, 5, 3, 11), layout=lambda x: x.to(memory_format=torch.channels_last)),
        "options": _label_options,
        "beyond 2^31": _labels_beyond,
        "missing": _missing,
        **{f"labels missing, {dtype}": _labels_missing(dtype) for dtype in TOLERANCE},
        "sure": _sure,
        **{f"a total, {reduction}": _label_total(reduction) for reduction in ("sum", "mean")},
    }


def _both(logits: Tensor, target: Tensor, **options: Any) -> None:
    """Rows and reduced, with their gradients."""

    def rows(z: Tensor, cast: Any) -> list[Tensor]:
        return list(dispatch.softmax_nll(z, cast(target), **{k: cast(v) for k, v in options.items()}))

    def mean(z: Tensor, cast: Any) -> list[Tensor]:
        return [dispatch.softmax_loss(z, cast(target), **{k: cast(v) for k, v in options.items()})]

    compare(rows, logits, target, 1.5)
    compare(mean, logits, target, 3.0)


def _rows(
    classes: int, *, rows: int = 5, dtype: torch.dtype = torch.float32, layout: Any = lambda x: x
) -> Check:
    def check() -> None:
        g = seeded(classes)
        logits = layout((torch.randn(rows, classes, generator=g) * 4).to(dtype))
        _both(logits, torch.arange(rows) * (classes - 1) // (rows - 1))  # the first and the last class, too

    return check


def _pixels(shape: tuple[int, ...], memory_format: torch.memory_format) -> Check:
    def check() -> None:
        g = seeded(shape[1])
        logits = torch.randn(shape, generator=g).contiguous(memory_format=memory_format)
        target = torch.randint(shape[1], (shape[0], *shape[2:]), generator=g, dtype=torch.int32)
        target.view(-1)[::5] = -100
        _both(logits, target)
        _both(logits, target, weight=torch.rand(shape[1], generator=g) + 0.5, label_smoothing=0.1)

    return check


def _options(classes: int, *, soft: bool = False) -> Check:
    def check() -> None:
        g = seeded(classes)
        logits = torch.randn(4, classes, generator=g) * 4
        where = torch.rand(4, classes, generator=g) < 0.8
        target = torch.tensor([0, classes - 1, classes // 2, -100])
        where[range(3), target[:3]] = True
        options: dict[str, Any] = {
            "weight": torch.rand(classes, generator=g) + 0.5,
            "logit_offset": torch.randn(classes, generator=g),
            "sample_weight": torch.tensor([1.0, 2.0, 0.5, 1.0]),
            "z_loss": 1e-3,
            "where": where,
        }
        if soft:
            target = torch.softmax(torch.randn(4, classes, generator=g), 1)
        _both(logits, target, **options, label_smoothing=0.2, softcap=10.0)
        if not soft:
            _both(logits, target, **options, focal_gamma=2.0)

    return check


def _ignored() -> None:
    for shape in ((3, 5), (3, 300), (3, 5000), (3, 5, 7)):
        x = torch.randn(shape, generator=seeded(3))
        x[1] = math.nan
        x = x.requires_grad_()
        target = torch.zeros((shape[0], *shape[2:]), dtype=torch.int64)
        target[1] = -100
        for loss in (
            dispatch.softmax_nll(x, target, label_smoothing=0.1)[0].sum(),
            dispatch.softmax_loss(x, target),
            dispatch.softmax_loss(x, target, reduction="sum"),
        ):
            assert loss.isfinite()
            (gradient,) = torch.autograd.grad(loss, x)
            assert gradient[1].eq(0).all()
            assert gradient[[0, 2]].ne(0).all()
        x = x.detach().nan_to_num(nan=0.5).requires_grad_()
        loss = dispatch.softmax_loss(x, target, z_loss=0.1, torch_nonfinite=True)
        assert torch.autograd.grad(loss, x)[0][1].eq(0).all()


def _rows_of_pixels() -> None:
    x = torch.randn(2, 2, 3, 2, 3, generator=seeded(4)).permute(0, 4, 3, 2, 1)
    _both(x, torch.randint(3, (2, 2, 3, 2), generator=seeded(5)))


def far_and_near() -> Iterator[tuple[Tensor, Tensor]]:
    """Logits with places that are no 32-bit numbers, on pages that are not there yet; and the same dense."""
    memory = torch.from_numpy(np.zeros((1 << 32) + 5000, dtype=np.float16))
    for shape, strides in (
        ((3, 40), ((1 << 31) + 8, 1)),
        ((3, 3), (1, (1 << 31) + 8)),
        ((2, 5, 3), (64, 1, (1 << 31) - 7)),
        ((3, 1000), ((1 << 31) - 16, 1)),
        ((3, 5000), ((1 << 31) - 16, 1)),
    ):
        far = memory.as_strided(shape, strides)
        near = torch.randn(shape, generator=seeded(6)).half()
        yield far.copy_(near), near


def _beyond() -> None:
    for far, near in far_and_near():
        target = torch.randint(near.shape[1], (near.shape[0], *near.shape[2:]), generator=seeded(7))
        for got, expected in zip(
            dispatch.softmax_nll(far, target), dispatch.softmax_nll(near, target), strict=True
        ):
            torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(_gradient(far, target), _gradient(near, target))


def _gradient(logits: Tensor, target: Tensor) -> Tensor:
    leaf = logits.detach().requires_grad_()
    return torch.autograd.grad(dispatch.softmax_loss(leaf, target), leaf)[0]


def _confident(classes: int) -> Check:
    def check() -> None:
        x = torch.zeros(3, classes)
        target = torch.tensor([0, classes - 1, classes // 2])
        margin = torch.tensor([12.0, 20.0, 40.0])
        x[range(3), target] = margin
        x = x.requires_grad_()
        nll, _ = dispatch.softmax_nll(x, target)
        rest = (classes - 1) * torch.exp(-margin.double())
        torch.testing.assert_close(nll.double(), rest.log1p(), rtol=1e-6, atol=0)
        (gradient,) = torch.autograd.grad(nll.sum(), x)
        slope = gradient[range(3), target].double()
        torch.testing.assert_close(slope, -rest / (1 + rest), rtol=1e-6, atol=0)

    return check


def _total(reduction: str) -> Check:
    def check() -> None:
        # Row sums of very different sizes: in float32 the small ones would be lost beside the large one.
        logits = torch.zeros(4096, 2)
        logits[0, 1] = 2.0**24
        loss = dispatch.softmax_loss(logits, torch.zeros(4096, dtype=torch.long), reduction=reduction)
        total = 2.0**24 + 4095 * math.log(2)
        exact = torch.tensor(total if reduction == "sum" else total / 4096, dtype=torch.float64)
        torch.testing.assert_close(loss.double(), exact, rtol=1e-6, atol=0)

    return check


def _labels(
    shape: tuple[int, ...], *, dtype: torch.dtype = torch.float32, layout: Any = lambda x: x
) -> Check:
    def check() -> None:
        g = seeded(len(shape))
        logits = layout((torch.randn(shape, generator=g) * 4).to(dtype))
        _both_labels(logits, torch.rand(shape, generator=g).round())
        _both_labels(logits, torch.rand(shape, generator=g))

    return check


def _both_labels(logits: Tensor, target: Tensor, **options: Any) -> None:
    def each(z: Tensor, cast: Any) -> list[Tensor]:
        return [dispatch.sigmoid_nll(z, cast(target), **{k: cast(v) for k, v in options.items()})]

    def mean(z: Tensor, cast: Any) -> list[Tensor]:
        return [dispatch.sigmoid_loss(z, cast(target), **{k: cast(v) for k, v in options.items()})]

    compare(each, logits, target, 1.5)
    compare(mean, logits, target, 3.0)


def _label_options() -> None:
    g = seeded(8)
    logits, target = torch.randn(40, 7, generator=g) * 4, torch.rand(40, 7, generator=g)
    column, full = torch.rand(7, generator=g) + 0.5, torch.rand(40, 7, generator=g) + 0.5
    options: dict[str, Any] = {"mask": full < 1, "sample_weight": full[:, 0].round()}
    _both_labels(logits, target, weight=column, pos_weight=full, **options)
    _both_labels(logits, target, weight=full, pos_weight=column, label_smoothing=0.2, prior=column / 2)
    _both_labels(logits, target, focal_gamma=2.0, focal_alpha=0.25, **options)
    _both_labels(logits, target.round().long(), weight=torch.tensor(2.5), **options)


def _labels_beyond() -> None:
    for far, near in far_and_near():
        target = torch.rand(near.shape, generator=seeded(10))
        torch.testing.assert_close(
            dispatch.sigmoid_nll(far, target), dispatch.sigmoid_nll(near, target), rtol=1e-6, atol=1e-6
        )
        far_leaf, near_leaf = far.detach().requires_grad_(), near.detach().requires_grad_()
        (by_far,) = torch.autograd.grad(dispatch.sigmoid_loss(far_leaf, target), far_leaf)
        (by_near,) = torch.autograd.grad(dispatch.sigmoid_loss(near_leaf, target), near_leaf)
        torch.testing.assert_close(by_far, by_near)


def _missing() -> None:
    x = torch.randn(30, 7, generator=seeded(9))
    target = (x > 0).float()
    target[1] = math.nan
    x[2] = math.nan
    x = x.requires_grad_()
    mask = torch.ones(30, 7, dtype=torch.bool)
    mask[2] = False
    for loss in (
        dispatch.sigmoid_nll(x, target, mask=mask).sum(),
        dispatch.sigmoid_loss(x, target, mask=mask),
        dispatch.sigmoid_loss(x, target, mask=mask, reduction="sum"),
    ):
        assert loss.isfinite()
        (gradient,) = torch.autograd.grad(loss, x)
        assert gradient[[1, 2]].eq(0).all()
        assert gradient[3:].ne(0).all()
    with torch.no_grad():
        mean = dispatch.sigmoid_loss(x, target, mask=mask)
    torch.testing.assert_close(mean, dispatch.sigmoid_nll(x, target, mask=mask).sum().detach() / (28 * 7))


def _labels_missing(dtype: torch.dtype) -> Check:
    """What is made as if no label were missing is made again."""

    def check() -> None:
        x = (torch.randn(300, 7, generator=seeded(13)) * 4).to(dtype).requires_grad_()
        target = torch.rand(300, 7, generator=seeded(14)).round()
        there = torch.ones(300, 7, dtype=torch.bool)
        there[::3] = there[:, 5] = False
        for gone in (there, torch.zeros_like(there)):
            missing = torch.where(gone, target, math.nan)
            loss, masked = dispatch.sigmoid_loss(x, missing), dispatch.sigmoid_loss(x, target, mask=gone)
            torch.testing.assert_close(loss, masked, rtol=1e-6, atol=0, equal_nan=True)
            for up in (1.0, 3.0):
                found, expected = (
                    torch.autograd.grad(one, x, torch.full_like(one, up), retain_graph=True)[0]
                    for one in (loss, masked)
                )
                torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
                assert found[~gone].eq(0).all()

    return check


def _sure() -> None:
    x = torch.tensor([12.0, -12.0, 20.0, -20.0, 80.0, -80.0], requires_grad=True)
    target = (x > 0).float()
    nll = dispatch.sigmoid_nll(x, target)
    rest = torch.exp(-x.detach().double().abs())
    torch.testing.assert_close(nll.double(), rest.log1p(), rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(nll.sum(), x)
    slope = rest / (1 + rest) * torch.where(x.detach() > 0, -1, 1)
    torch.testing.assert_close(gradient.double(), slope, rtol=1e-6, atol=0)


def _label_total(reduction: str) -> Check:
    def check() -> None:
        logits = torch.zeros(4096 * 8)
        logits[0] = 2.0**27
        loss = dispatch.sigmoid_loss(logits, torch.zeros_like(logits), reduction=reduction)
        total = 2.0**27 + (logits.numel() - 1) * math.log(2)
        exact = torch.tensor(total if reduction == "sum" else total / logits.numel(), dtype=torch.float64)
        torch.testing.assert_close(loss.double(), exact, rtol=1e-6, atol=0)

    return check
