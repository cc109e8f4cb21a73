"""The portable backend's short way of small losses: right to the last place, or left to the general way."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from likelihead.errors import BackendWarning
from likelihead.functional import binary_cross_entropy_with_logits, cross_entropy
from likelihead.kernels import dispatch
from likelihead.kernels.dispatch import use_backend
from likelihead.kernels.portable.small import sigmoid_plain, sigmoid_values, softmax_plain, softmax_values

EPS = 2.0**-23


def _exact_softmax(x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and gradient of each example; where the target is sure nothing is subtracted from 1."""
    x = x.double()
    below = x - x.gather(1, target[:, None])
    others = below.exp().scatter(1, target[:, None], 0)
    rest = others.sum(1, keepdim=True)
    nll = torch.where(below.amax(1) > 500, below.logsumexp(1), rest.squeeze(1).log1p())
    return nll, (torch.softmax(x, 1)).scatter(1, target[:, None], -rest / (1 + rest))


def _exact_sigmoid(x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    x, target = x.double(), target.double()
    e = (-x.abs()).exp()
    right = torch.where(x >= 0, target, 1 - target)
    return e.log1p() + (1 - right) * x.abs(), ((1 - right) - right * e) / (1 + e) * torch.where(x >= 0, 1, -1)


def _value_and_gradient(plain: Any, x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    leaf = x.clone().requires_grad_()
    loss = plain(leaf, *arguments)
    assert loss is not None
    assert loss.dtype == torch.float32
    assert loss.dim() == 0
    return loss.detach(), torch.autograd.grad(loss, leaf)[0]


def _check(got: Tensor, exact: Tensor) -> None:
    """Half a unit for the rounding, and half a one."""
    assert ((got.double() - exact).abs() <= EPS * exact.abs() + 1e-44).all()


@pytest.mark.parametrize("shape", [(1, 2), (10, 3), (64, 10), (32, 1000), (7, 2)])
@pytest.mark.parametrize("change", ["none", "large", "apart", "sure", "far"])
@pytest.mark.parametrize("mean", [True, False])
def test_softmax_is_right_to_the_last_place(shape: tuple[int, int], change: str, mean: bool) -> None:
    x, target = torch.randn(shape), torch.arange(shape[0]) % shape[1]
    if change == "large":
        x *= 20
        x = x.clamp(max=x.amin(1, keepdim=True) + 15)
    elif change == "apart":
        x += 1e4
    elif change == "sure":
        x.scatter_(1, target[:, None], x.amax(1, keepdim=True) + 12)
    elif change == "far":
        x[:, 0] = -math.inf if shape[1] > 2 else -12.0
        target.fill_(1)
    nll, gradient = _exact_softmax(x, target)
    loss, found = _value_and_gradient(softmax_plain, x, target, -100, mean)
    count = shape[0] if mean else 1
    _check(loss, nll.sum() / count)
    _check(found, gradient / count)


def test_examples_that_are_ignored_have_no_part() -> None:
    x, target = torch.randn(6, 4), torch.tensor([0, -7, 2, 3, -7, 1])
    nll, gradient = _exact_softmax(x, target.clamp(min=0))
    kept = target != -7
    loss, found = _value_and_gradient(softmax_plain, x, target, -7, True)
    _check(loss, nll[kept].mean())
    _check(found, torch.where(kept[:, None], gradient / 4, 0))


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 5, 4, 4), (2, 3, 2, 2, 2)])
def test_pixels(shape: tuple[int, ...]) -> None:
    x, target = torch.randn(shape), torch.randint(shape[1], (shape[0], *shape[2:]))
    rows = x.movedim(1, -1).reshape(-1, shape[1])
    nll, gradient = _exact_softmax(rows, target.flatten())
    loss, found = _value_and_gradient(softmax_plain, x, target, -100, False)
    _check(loss, nll.sum())
    _check(found.movedim(1, -1).reshape(-1, shape[1]), gradient)
    turned = x.movedim(1, -1).contiguous().movedim(-1, 1)
    assert softmax_plain(turned, target, -100, False) is None  # torch's backward would raise


@pytest.mark.parametrize("label", [0.0, 1.0, 0.25, 1e-7, 1 - EPS / 2])
@pytest.mark.parametrize("mean", [True, False])
def test_sigmoid_is_right_to_the_last_place(label: float, mean: bool) -> None:
    for x in (torch.linspace(-16, 16, 257), torch.randn(1, 1), torch.tensor(3.0)):
        target = torch.full_like(x, label)
        nll, gradient = _exact_sigmoid(x, target)
        loss, found = _value_and_gradient(sigmoid_plain, x, target, mean)
        count = x.numel() if mean else 1
        _check(loss, nll.sum() / count)
        allowed = EPS * gradient.abs() + 2.0**-52  # beside the zero of the slope the digits are float64's
        assert ((found.double() * count - gradient).abs() <= allowed + EPS * gradient.abs()).all()
    for edge in (-16.0, 16.0):
        x = torch.tensor([edge])
        nll, gradient = _exact_sigmoid(x, torch.tensor([label]))
        _check(sigmoid_plain(x, torch.tensor([label]), False), nll[0])  # type: ignore[arg-type]


@pytest.mark.parametrize("gap", [16.0, 17.0, 20.0, 60.0, 100.0])
@pytest.mark.parametrize("shape", [(2, 2), (5, 20), (2, 3, 2, 2)])
@pytest.mark.parametrize("mean", [True, False])
def test_however_sure_an_example_is(gap: float, shape: tuple[int, ...], mean: bool) -> None:
    x, target = torch.randn(shape), torch.randint(shape[1], (shape[0], *shape[2:]))
    target[0] = 0
    x[0, 0] = x[0, 1:].amax(0) + gap
    nll, exact = _exact_softmax(x.movedim(1, -1).reshape(-1, shape[1]), target.flatten())
    loss, gradient = _value_and_gradient(softmax_plain, x, target, -100, mean)
    count = len(nll) if mean else 1
    _check(loss, nll.sum() / count)
    _check(gradient.movedim(1, -1).reshape(-1, shape[1]), exact / count)
    if gap >= 60:
        target[-1] = -100
        assert softmax_plain(x, target, -100, mean) is None  # of the ignored the general way knows
        assert softmax_plain(torch.tensor([[0.0, -math.inf]]), torch.tensor([0]), -100, mean) is None


@pytest.mark.parametrize("label", [0.0, 1.0, 0.25, 1e-7, 1 - EPS / 2])
def test_however_far_a_logit_is(label: float) -> None:
    x = torch.linspace(-100, 100, 401)
    target = torch.full_like(x, label)
    nll, gradient = _exact_sigmoid(x, target)
    for reduction in ("none", "sum"):
        leaf = x.clone().requires_grad_()
        values = sigmoid_values(leaf, target, reduction, {})
        assert values is not None
        _check(values.detach(), nll if reduction == "none" else nll.sum())
        allowed = EPS * gradient.abs() + 1e-44 + (0 if label in (0, 1) else 2.0**-52)
        assert ((torch.autograd.grad(values.sum(), leaf)[0] - gradient).abs() <= allowed).all()


OPTIONS: list[dict[str, Any]] = [
    {},
    {"weight": torch.rand(5) + 0.5},
    {"label_smoothing": 0.1},
    {"weight": torch.rand(5) + 0.5, "label_smoothing": 0.3, "ignore_index": 2},
    {"ignore_index": 1, "torch_nonfinite": True},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [1, 12])
def test_torchs_options_are_the_references(
    options: dict[str, Any], reduction: str, dtype: torch.dtype, scale: float
) -> None:
    x = (torch.randn(8, 5) * scale).to(dtype)
    target = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])
    for y in (target, target.int(), target.to(torch.uint8), torch.rand(8, 5), torch.rand(8, 5).to(dtype)):
        leaf, wide = x.clone().requires_grad_(), x.double().requires_grad_()
        values = softmax_values(leaf, y, reduction, options)
        with use_backend("reference"):
            given = {k: v.double() if isinstance(v, Tensor) else v for k, v in options.items()}
            probabilities = y.double() if y.is_floating_point() else y
            if reduction == "none":
                expected = dispatch.softmax_nll(wide, probabilities, **given)[0]
            else:
                expected = dispatch.softmax_loss(wide, probabilities, reduction=reduction, **given)
        if values is None:
            assert scale > 1  # a class that is too sure, and options
            continue
        assert values.dtype == torch.float32
        _check(values.detach(), expected.detach())
        got, exact = (
            torch.autograd.grad(v.sum(), z)[0].double() for v, z in ((values, leaf), (expected, wide))
        )
        allowed = torch.finfo(dtype).eps * exact.abs() + 1e-15 + 2.0**-25 * (dtype == torch.float16)
        assert ((got - exact).abs() <= allowed).all()


@pytest.mark.parametrize("scale", [1, 12])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_torchs_options_of_labels_are_the_references(
    scale: float, reduction: str, dtype: torch.dtype
) -> None:
    x = (torch.randn(8, 5) * scale).to(dtype)
    weights = {"weight": torch.rand(8, 1), "pos_weight": torch.rand(5) + 0.5}
    for y in (torch.rand(8, 5).to(dtype), torch.rand(8, 5) < 0.5, (torch.rand(8, 5) < 0.5).to(dtype)):
        for options in ({}, weights, {"skip_nan_target": False, "torch_nonfinite": True, "mask": None}):
            leaf, wide = x.clone().requires_grad_(), x.double().requires_grad_()
            values = sigmoid_values(leaf, y, reduction, options)
            assert values is not None
            with use_backend("reference"):
                given = {k: v.double() if isinstance(v, Tensor) else v for k, v in options.items()}
                if reduction == "none":
                    expected = dispatch.sigmoid_nll(wide, y.double(), **given)
                else:
                    expected = dispatch.sigmoid_loss(wide, y.double(), reduction=reduction, **given)
            _check(values.detach(), expected.detach())
            got, exact = (
                torch.autograd.grad(v.sum(), z)[0].double() for v, z in ((values, leaf), (expected, wide))
            )
            allowed = torch.finfo(dtype).eps * exact.abs() + 1e-15 + 2.0**-25 * (dtype == torch.float16)
            assert ((got - exact).abs() <= allowed).all()


def test_what_torch_does_not_have_is_left_to_the_general_way() -> None:
    x, target = torch.randn(4, 3), torch.tensor([0, 2, 1, 0])
    for shape in [(600, 128), (6400, 10)]:
        assert softmax_values(torch.randn(shape), torch.zeros(shape[0]).long(), "none", {}) is None
    assert softmax_values(torch.randn(300, 128), torch.rand(300, 128), "none", {}) is None
    assert softmax_values(x, target, "none", {"z_loss": 0.0, "where": None, "softcap": None}) is not None
    for option in ({"z_loss": 0.1}, {"where": torch.ones(4, 3) > 0}, {"sample_weight": torch.zeros(4)}):
        assert softmax_values(x, target, "none", option) is None
    assert sigmoid_values(x, x, "none", {"mask": torch.ones(4, 3) > 0}) is None
    assert sigmoid_values(x, x, "none", {"label_smoothing": 0.1}) is None


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_left_to_the_general_way(odd: float) -> None:
    x = torch.randn(4, 3)
    x[1, 2] = odd
    assert softmax_plain(x, torch.tensor([0, 2, 1, 0]), -100, True) is None
    assert sigmoid_plain(x, torch.zeros(4, 3), True) is None
    labels = torch.zeros(4, 3)
    labels[1, 2] = odd
    assert sigmoid_plain(torch.randn(4, 3), labels, True) is None


def test_the_calls_that_are_left_to_the_general_way() -> None:
    x, target, labels = torch.randn(4, 3), torch.tensor([0, 2, 1, 0]), torch.rand(4, 3)
    assert softmax_plain(x, target, -100, True) is not None
    for logits, classes in [
        (x, torch.tensor([0, 3, 1, 0])), (x, torch.tensor([0, -1, 1, 0])), (x, target[:3]), (x[0], target[0]),
        (x, torch.full((4,), -100)), (x[:0], target[:0]), (x[:, :0], target), (x[:, :1], target * 0),
        (x.double(), target), (x.half(), target), (x.to_sparse(), target), (x, target.to_sparse()),
        (torch.randn(600, 128), torch.zeros(600).long()),
    ]:  # fmt: skip
        assert softmax_plain(logits, classes, -100, True) is None
    for logits, given in [
        (x, labels[:3]), (x[:0], labels[:0]), (x.double(), labels.double()), (x.half(), labels.half()),
        (x, labels.to_sparse()), (torch.randn(40000), torch.rand(40000)), (x, labels.requires_grad_()),
    ]:  # fmt: skip
        assert sigmoid_plain(logits, given, True) is None


class _Watching(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def test_transforms_and_modes_go_the_general_way() -> None:
    x, target, labels = torch.randn(4, 3), torch.tensor([0, 2, 1, 0]), torch.rand(4, 3)

    def ask(x: Tensor) -> Tensor:
        assert softmax_plain(x, target, -100, True) is None
        assert sigmoid_plain(x, labels, True) is None
        return x.sum()

    torch.func.grad(ask)(x)
    torch.func.jvp(ask, (x,), (x,))
    with torch.autograd.forward_ad.dual_level():
        ask(torch.autograd.forward_ad.make_dual(x, x))
    with _Watching():
        ask(x)


@pytest.mark.parametrize("mean", [True, False])
def test_derivatives_of_derivatives_are_the_references(mean: bool) -> None:
    x, target, labels = torch.randn(4, 3), torch.tensor([0, -100, 1, 2]), torch.rand(4, 3)
    reduction = "mean" if mean else "sum"

    def third(loss: Any) -> list[Tensor]:
        leaf = x.clone().requires_grad_()
        (first,) = torch.autograd.grad(loss(leaf), leaf, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), leaf, create_graph=True)
        (last,) = torch.autograd.grad(second.square().sum(), leaf)
        return [first.detach(), second.detach(), last]

    for short, general in [
        (
            lambda x: softmax_plain(x, target, -100, mean),
            lambda x: cross_entropy(x.double(), target, reduction=reduction),
        ),
        (
            lambda x: sigmoid_plain(x, labels, mean),
            lambda x: binary_cross_entropy_with_logits(x.double(), labels.double(), reduction=reduction),
        ),
    ]:
        with use_backend("reference"):
            expected = third(general)
        for got, exact in zip(third(short), expected, strict=True):
            assert torch.allclose(got, exact, rtol=3e-7, atol=1e-9)


@pytest.fixture
def nothing_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on an installation without kernels."""
    slow = [b for b in dispatch._BACKENDS if not b.fast]
    fast = dispatch.Backend("fast", slow[0].ops, lambda: "there is no compiler", lambda logits: None, True)
    monkeypatch.setattr(dispatch, "_BACKENDS", (fast, *slow))
    monkeypatch.setattr(dispatch, "_told_of", set())
    dispatch._plain.cache_clear()
    yield
    dispatch._plain.cache_clear()


@pytest.mark.usefixtures("nothing_fast")
def test_an_installation_without_kernels_takes_it_and_says_so_once() -> None:
    x, target = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 2, 1, 0])
    with pytest.warns(BackendWarning, match="softmax_loss runs on the portable backend") as told:
        loss = cross_entropy(x, target)
    assert told[0].filename == __file__
    assert type(loss.grad_fn).__name__ == "ToCopyBackward0"  # torch's nodes
    assert type(cross_entropy(x, target).grad_fn).__name__ == "ToCopyBackward0"
    assert binary_cross_entropy_with_logits(x, torch.zeros(4, 3)).isfinite()
