"""The short way of a GPU's losses without options: the general way's bits, and its rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from likelihead.functional import binary_cross_entropy_with_logits, cross_entropy
from likelihead.kernels import dispatch
from likelihead.kernels.dispatch import use_backend
from likelihead.kernels.triton import plain

Loss = Callable[..., Tensor]


def _classes(x: Tensor) -> Tensor:
    target = torch.arange(x.numel() // x.shape[1]).view(x.shape[0], *x.shape[2:]) % x.shape[1]
    target.view(-1)[::4] = -100
    return target


LOSSES: dict[str, tuple[Loss, Callable[[Tensor], Tensor]]] = {
    "classes": (cross_entropy, _classes),
    "labels": (binary_cross_entropy_with_logits, lambda x: torch.rand(x.shape).to(x.dtype)),
}
EACH = pytest.mark.parametrize("name", LOSSES)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls that went the short way."""
    taken: list[str] = []
    ask = dispatch.plain

    def watched(op: str, on_cpu: bool) -> Callable[..., Tensor | None] | None:
        found = ask(op, on_cpu)

        def call(*arguments: Any) -> Tensor | None:
            result = found(*arguments) if found is not None else None
            if result is not None and found in (plain.softmax_plain, plain.sigmoid_plain):
                taken.append(op)
            return result

        return call

    monkeypatch.setattr(dispatch, "plain", watched)
    return taken


def _with_gradient(loss: Loss, x: Tensor, target: Tensor, up: float, **options: Any) -> list[Tensor]:
    leaf = x.detach().requires_grad_()
    value = loss(leaf, target, **options)
    return [value.detach(), *torch.autograd.grad(value, leaf, torch.full_like(value, up))]


def _general(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dispatch, "plain", lambda op, on_cpu: None)


@EACH
@pytest.mark.parametrize(("dtype", "up"), [(torch.float32, 1.0), (torch.float32, 0.7), (torch.float64, 0.7)])
@pytest.mark.parametrize("shape", [(7, 5), (2, 3, 2, 3)])
def test_the_bits_of_the_general_way(
    name: str, dtype: torch.dtype, up: float, shape: tuple[int, ...], short: list[str]
) -> None:
    loss, of = LOSSES[name]
    x = torch.randn(shape, dtype=dtype) * 5
    target = of(x)
    for given in (x, x.transpose(0, -1).contiguous().transpose(0, -1)):
        for reduction in ("mean", "sum"):
            short.clear()
            found = _with_gradient(loss, given, target, up, reduction=reduction)
            assert len(short) == 1
            assert torch.equal(loss(given, target, reduction=reduction), found[0])
            with pytest.MonkeyPatch.context() as patch:
                _general(patch)
                expected = _with_gradient(loss, given, target, up, reduction=reduction)
            assert all(map(torch.equal, found, expected))


@EACH
def test_second_derivatives_and_second_backwards(name: str, short: list[str]) -> None:
    loss, of = LOSSES[name]
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    target = of(x.detach())
    slope, curvature = [], []
    with pytest.MonkeyPatch.context() as patch:
        for _ in range(2):
            slope += torch.autograd.grad(loss(x, target), x, create_graph=True)
            curvature += torch.autograd.grad(slope[-1].square().sum(), x)
            _general(patch)
    assert torch.equal(curvature[0], curvature[1])
    assert curvature[0].any()
    value = loss(x, target)
    (first,) = torch.autograd.grad(value, x, retain_graph=True)
    kept = first.clone()
    (second,) = torch.autograd.grad(value, x, retain_graph=True)
    assert first.data_ptr() != second.data_ptr()
    torch.testing.assert_close(second, kept, rtol=1e-14, atol=0)
    many = torch.autograd.grad(loss(x, target), x, torch.tensor([1.0, 2.0]).double(), is_grads_batched=True)
    torch.testing.assert_close(many[0], torch.stack([kept, 2 * kept]), rtol=1e-14, atol=0)
    assert short


@EACH
def test_who_listens_hears_the_op(name: str, short: list[str]) -> None:
    class Heard(TorchDispatchMode):
        def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            heard.append(str(op))
            return op(*args, **(kwargs or {}))

    heard: list[str] = []
    loss, of = LOSSES[name]
    x = torch.randn(4, 3, requires_grad=True)
    target = of(x.detach())
    with Heard():
        loss(x, target).backward()
    assert any("_loss" in op for op in heard)
    assert any("scale_" in op for op in heard)
    value = loss(x, target)
    heard.clear()
    with Heard():
        value.backward()
    assert any("scale_" in op for op in heard)
    assert len(short) == 1


@EACH
def test_transforms_and_other_derivatives_go_the_general_way(name: str, short: list[str]) -> None:
    loss, of = LOSSES[name]
    x = torch.randn(4, 3, dtype=torch.float64)
    target = of(x)
    expected = _with_gradient(loss, x, target, 1.0)[1]
    short.clear()
    assert torch.allclose(torch.func.grad(loss)(x, target), expected)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
        assert torch.autograd.forward_ad.unpack_dual(loss(dual, target)).tangent is not None
    with use_backend("reference"):
        loss(x, target)
    with use_backend("portable"):
        loss(x, target)
    assert short == []


@EACH
def test_memory_that_is_not_the_numbers(name: str, short: list[str]) -> None:
    loss, of = LOSSES[name]
    x = torch.randn(4, 3)
    target = of(x)
    expected = _with_gradient(loss, x, target, -2.0)
    short.clear()
    leaf = torch._neg_view(-x).detach().requires_grad_()
    value = loss(leaf, target)
    (grad,) = torch.autograd.grad(value, leaf, torch._neg_view(torch.tensor(2.0)))
    assert torch.equal(value, expected[0])
    assert torch.equal(grad, expected[1])
    if target.is_floating_point():
        assert torch.equal(loss(x, torch._neg_view(-target)), expected[0])
    zeros = torch._efficientzerotensor(x.shape)  # which has no memory
    assert torch.equal(loss(zeros, target), loss(torch.zeros_like(x), target))
    assert len(short) == 1  # that of plain zeros
    leaf = x.requires_grad_()
    (grad,) = torch.autograd.grad(loss(leaf, target), leaf, torch._efficientzerotensor(()))
    assert not grad.any()


def test_what_is_differentiated_besides_and_what_does_not_fit(short: list[str]) -> None:
    x, labels = torch.randn(4, requires_grad=True), torch.rand(4, requires_grad=True)
    binary_cross_entropy_with_logits(x, labels).backward()
    assert labels.grad is not None
    for logits, target in (
        (torch.randn(4), torch.tensor(1)),
        (torch.randn(0, 4), torch.zeros(0, dtype=torch.int64)),
        (torch.randn(3, 4), torch.rand(3, 4)),
    ):
        cross_entropy(logits, target)
    with pytest.raises((ValueError, RuntimeError)):
        cross_entropy(torch.randn(3, 4), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="size"):
        binary_cross_entropy_with_logits(torch.randn(3, 4), torch.rand(3, 1))
    assert short == []


@pytest.mark.parametrize("outside", [4, -1, 2**40])
def test_an_index_out_of_range(outside: int) -> None:
    target = torch.tensor([0, outside, 2])
    with pytest.raises(IndexError, match=rf"target\[1\] is {outside}"):
        cross_entropy(torch.randn(3, 4, requires_grad=True), target)
    assert cross_entropy(torch.randn(3, 4), torch.tensor([0, 1, 2])).isfinite()
