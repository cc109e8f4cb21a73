"""How a loss is differentiated: once, again, over the logits, twice, by whatever comes from above."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kernel_cases import DTYPES
from likelihead.errors import OptionError
from likelihead.kernels import dispatch
from likelihead.kernels.dispatch import use_backend

TARGET = torch.tensor([0, 1, 2, 3, 4, -100])


def _loss(x: Tensor, target: Tensor, **options: object) -> Tensor:
    return dispatch.softmax_loss(x, target, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.usefixtures("fast")
def test_a_second_backward_is_not_corrupted(dtype: torch.dtype) -> None:
    x = torch.randn(6, 5, dtype=torch.float64).to(dtype).requires_grad_()
    loss = _loss(x, torch.tensor([0, 1, 2, 3, 4, -100]))
    (first,) = torch.autograd.grad(loss, x, torch.tensor(3.0, dtype=loss.dtype), retain_graph=True)
    kept = first.clone()
    first.mul_(7)  # the caller owns it
    (second,) = torch.autograd.grad(loss, x, torch.tensor(3.0, dtype=loss.dtype), retain_graph=True)
    torch.testing.assert_close(second, kept)
    (third,) = torch.autograd.grad(loss, x, torch.tensor(-1.0, dtype=loss.dtype))
    torch.testing.assert_close(third * -3, kept)


@pytest.mark.usefixtures("fast")
def test_a_graph_that_was_freed_says_so() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    loss = _loss(x, torch.tensor([0, 1, 2]))
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


@pytest.mark.usefixtures("fused")
def test_the_gradient_is_given_away_not_copied() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    y = x * 1
    y.register_hook(lambda g: seen.append(g.data_ptr()))
    seen: list[int] = []
    loss = _loss(y, torch.tensor([0, 1, 2]))
    made = loss.grad_fn.made[0].data_ptr()
    loss.backward()
    assert seen == [made]


@pytest.mark.usefixtures("fast")
def test_logits_may_change_between_forward_and_backward_as_in_torch() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    y = x * 1
    loss = _loss(y, torch.tensor([0, 1, 2]))
    expected = (x.detach().softmax(1) - torch.eye(4)[[0, 1, 2]]) / 3
    with torch.no_grad():
        y.zero_()
    loss.backward()
    torch.testing.assert_close(x.grad, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(6, 5), (6, 300), (2, 3, 4, 5)])
@pytest.mark.usefixtures("fused")
def test_inplace_backward_writes_over_the_logits(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape).to(dtype)
    target = torch.randint(shape[1], (shape[0], *shape[2:]))
    plain, scratch = x.clone().requires_grad_(), x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(_loss(plain, target), plain)
    y = scratch * 1
    version, place = y._version, y.data_ptr()
    loss = _loss(y, target, inplace_backward=True)
    assert y._version > version
    (gradient,) = torch.autograd.grad(loss, y)
    assert gradient.data_ptr() == place
    assert torch.equal(gradient, expected)


@pytest.mark.usefixtures("fused")
def test_inplace_backward_has_one_backward() -> None:
    x = torch.randn(4, 5, requires_grad=True)
    y = x * 1
    loss = _loss(y, torch.tensor([0, 1, 2, 3]), inplace_backward=True)
    torch.autograd.grad(loss, y, retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, y)


@pytest.mark.usefixtures("fused")
def test_inplace_backward_is_refused_where_it_cannot_be() -> None:
    target = torch.tensor([0, 1])
    x = torch.randn(2, 3, requires_grad=True)
    with pytest.raises(OptionError, match="float16"):
        _loss(x.half() * 1, target, inplace_backward=True)
    with use_backend("reference"), pytest.raises(OptionError, match="native"):
        _loss(x * 1, target, inplace_backward=True)
    weight = torch.ones(3, requires_grad=True)
    with pytest.raises(OptionError, match="differentiated"):
        _loss(x * 1, target, inplace_backward=True, weight=weight)
    strided = (torch.randn(3, 2, requires_grad=True) * 1).t()
    with pytest.raises(OptionError, match="contiguous"):
        _loss(strided, target, inplace_backward=True)


@pytest.mark.usefixtures("fast")
def test_double_backward_and_transforms() -> None:
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([2, -100, 0])
    weight = torch.rand(4, dtype=torch.float64)

    def loss(z: Tensor) -> Tensor:
        return _loss(z, target, weight=weight, label_smoothing=0.1, z_loss=0.1, softcap=4.0)

    def labels(z: Tensor) -> Tensor:
        return dispatch.sigmoid_loss(z, torch.full_like(z, 0.3).detach(), pos_weight=weight)

    for f in (loss, labels):
        assert torch.autograd.gradcheck(f, (x,), check_forward_ad=True, check_batched_grad=True)
        assert torch.autograd.gradgradcheck(f, (x,))
        hessian = torch.func.hessian(f)(x.detach())
        torch.testing.assert_close(hessian, torch.autograd.functional.hessian(f, x.detach()))
    rows = torch.vmap(torch.func.grad(loss))(torch.stack([x.detach()] * 2))
    torch.testing.assert_close(rows[0], torch.func.grad(loss)(x.detach()))


def _classes(x: Tensor, **options: object) -> Tensor:
    return dispatch.softmax_nll(x, TARGET, label_smoothing=0.1, z_loss=0.01, **options)[0]


def _labels(x: Tensor, **options: object) -> Tensor:
    return dispatch.sigmoid_nll(x, TARGET[:, None].clamp(min=0) / 4 + torch.zeros(5), **options)


EACH = pytest.mark.parametrize("nll", [_classes, _labels])


@EACH
@pytest.mark.parametrize("kind", ["rows", "expanded", "strided", "zeros and negative", "expanded zero-d"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_upstream_gradients_of_every_kind(
    nll: Callable[..., Tensor], kind: str, dtype: torch.dtype, fast: str
) -> None:
    x = torch.randn(6, 5).to(dtype).requires_grad_()
    with use_backend("reference"):
        values = nll(x)
        full = torch.linspace(-2, 3, values.numel()).view(values.shape)
        upstream = {
            "rows": full,
            "expanded": full.flatten()[:1].expand(values.shape),
            "strided": torch.stack([full, full], -1)[..., 1],
            "zeros and negative": full.round(),
            "expanded zero-d": torch.tensor(-0.5).expand(values.shape),
        }[kind]
        (expected,) = torch.autograd.grad(values, x, upstream)
    (got,) = torch.autograd.grad(nll(x), x, upstream)
    assert got.dtype == dtype
    close = {torch.float32: 2e-6, torch.bfloat16: 2**-7}[dtype]
    torch.testing.assert_close(got, expected, rtol=close, atol=close)


@EACH
def test_several_upstream_gradients_at_once(nll: Callable[..., Tensor], fast: str) -> None:
    x = torch.randn(6, 5, requires_grad=True)
    values = nll(x)
    upstreams = torch.randn(3, *values.shape)
    (batched,) = torch.autograd.grad(values, x, upstreams, is_grads_batched=True, retain_graph=True)
    for upstream, got in zip(upstreams, batched, strict=True):
        (alone,) = torch.autograd.grad(values, x, upstream, retain_graph=True)
        torch.testing.assert_close(got, alone)


def test_logsumexp_has_an_upstream_of_its_own(fast: str) -> None:
    x = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    nll, lse = dispatch.softmax_nll(x, TARGET)
    up = torch.randn(2, 6, dtype=torch.float64)
    got = [torch.autograd.grad(*pair, retain_graph=True)[0] for pair in (
        ([lse], [x], [up[1]]), ([nll, lse], [x], [up[0], up[1]]),
    )]  # fmt: skip
    z = x.detach().requires_grad_()
    exact = torch.where(TARGET == -100, 0, torch.logsumexp(z, 1))  # an ignored row's gradient is 0
    rows = torch.nn.functional.cross_entropy(z, TARGET, reduction="none")
    (slope,) = torch.autograd.grad(exact, z, up[1], retain_graph=True)
    (of_rows,) = torch.autograd.grad(rows, z, up[0])
    torch.testing.assert_close(got[1], slope + of_rows)
    torch.testing.assert_close(got[0], slope)


def test_a_tensor_as_normalizer_is_differentiated(fast: str) -> None:
    x = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    count = torch.tensor(2.5, dtype=torch.float64, requires_grad=True)
    loss = dispatch.softmax_loss(x, TARGET, normalizer=count)
    total = dispatch.softmax_loss(x, TARGET, reduction="sum")
    torch.testing.assert_close(loss, total / 2.5)
    by_logits, by_count = torch.autograd.grad(loss, (x, count))
    torch.testing.assert_close(by_logits, torch.autograd.grad(total, x)[0] / 2.5)
    torch.testing.assert_close(by_count, -total.detach() / 2.5**2)


@pytest.mark.parametrize("named", ["weight", "logit_offset", "sample_weight", "target"])
def test_derivatives_by_other_arguments(named: str, fast: str) -> None:
    x = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    target = torch.rand(6, 5, dtype=torch.float64).softmax(1)
    options = {name: torch.rand(5, dtype=torch.float64) for name in ("weight", "logit_offset")}
    options["sample_weight"] = torch.rand(6, dtype=torch.float64)
    given = {"target": target, **options}
    by = given[named].requires_grad_()
    found = []
    for backend in (fast, "reference"):
        with use_backend(backend):
            nll, _ = dispatch.softmax_nll(x, given["target"], **options)
            found.append(torch.autograd.grad(nll.sum(), (x, by)))
    torch.testing.assert_close(*found)
    assert found[0][1].any()
