"""A head and its softmax where there is little, nothing, or something odd."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.testing import assert_close

from likelihead.errors import ShapeError
from likelihead.kernels import dispatch
from likelihead.kernels.fused import linear_autograd, linear_chunks, linear_scores, products
from oracles import linear_softmax as oracle

F64 = torch.float64


@pytest.fixture(params=[True, False], ids=["left out", "masked"])
def elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens that do not count leave first; or, as on a device that nobody waits for, they stay."""
    if not request.param:
        for module in (linear_autograd, linear_chunks, linear_scores):
            monkeypatch.setattr(module, "looks", lambda device: False)


@pytest.fixture(params=[False, True][: 1 + torch.backends.mkldnn.is_available()])
def onednn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's products and oneDNN's."""
    monkeypatch.setattr(products, "_LARGE", 0 if request.param else 1 << 60)
    monkeypatch.setattr(products, "_mkl_is_slow", lambda: True)


def _numbers(
    tokens: int = 6, width: int = 4, classes: int = 5, dtype: torch.dtype = F64
) -> tuple[Tensor, Tensor, Tensor]:
    shapes = (tokens, width), (classes, width), (classes,)
    return tuple(torch.randn(s, dtype=F64).to(dtype).requires_grad_() for s in shapes)  # type: ignore[return-value]


def _both(x: Tensor, w: Tensor, target: Tensor, b: Tensor | None, **options: Any) -> tuple[Tensor, Tensor]:
    """The sum of the loss, and what depends on all three values of each token."""
    loss = dispatch.linear_softmax_loss(x, w, target, b, reduction="sum", **options)
    found = dispatch.linear_softmax_nll(x, w, target, b, entropy=True, **options)
    return loss, sum(of.sum() * k for k, of in enumerate(found[:3], 1))


@pytest.mark.usefixtures("backend", "elsewhere")
@pytest.mark.parametrize("dtype", [F64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("soft", [False, True])
def test_no_tokens(dtype: torch.dtype, soft: bool) -> None:
    x, w, b = _numbers(0, dtype=dtype)
    target = torch.rand(0, 5) if soft else torch.zeros(0, dtype=torch.long)
    more = {"entropy": True, "log_prob": not soft, "prediction": True}
    found = dispatch.linear_softmax_nll(x, w, target, b, **more)
    wide = F64 if dtype == F64 else torch.float32
    assert [of.shape for of in found if of is not None] == [(0,)] * (4 if soft else 5)
    assert [of.dtype for of in found if of is not None] == [wide] * (3 if soft else 4) + [torch.int64]
    assert dispatch.linear_softmax_loss(x, w, target, b).isnan()
    for loss in _both(x, w, target, b):
        assert loss == 0
        for slope, of in zip(torch.autograd.grad(loss, (x, w, b)), (x, w, b), strict=True):
            assert (slope.shape, slope.dtype) == (of.shape, of.dtype)
            assert not slope.any()


@pytest.mark.usefixtures("backend", "elsewhere")
@pytest.mark.parametrize("how", ["ignored", "of no weight", "probabilities of no weight"])
@pytest.mark.parametrize("odd", [0.0, math.nan])
def test_nothing_that_counts(how: str, odd: float) -> None:
    x, w, b = _numbers()
    x = (x.detach() + odd).requires_grad_()
    target = torch.full((6,), -100 if how == "ignored" else 1)
    if how.startswith("prob"):
        target = torch.rand(6, 5, dtype=F64)
    options = {} if how == "ignored" else {"sample_weight": torch.zeros(6)}
    more = {"entropy": True, "log_prob": not how.startswith("prob"), "prediction": True}
    found = dispatch.linear_softmax_nll(x, w, target, b, **more, **options)
    assert all(of.tolist() == [0] * 6 for of in found if of is not None)
    mean = dispatch.linear_softmax_loss(x, w, target, b, **options)
    assert mean.isnan()
    for loss in (mean, *_both(x, w, target, b, **options)):
        assert not any(slope.any() for slope in torch.autograd.grad(loss, (x, w, b)))


@pytest.mark.usefixtures("backend", "elsewhere")
@pytest.mark.parametrize(("odd", "torch_nonfinite"), [(math.nan, False), (math.nan, True), (math.inf, False)])
def test_what_is_left_out_may_be_anything(odd: float, torch_nonfinite: bool) -> None:
    x, w, b = _numbers()
    target, each = torch.tensor([0, -100, 2, 3, 4, -100]), torch.tensor([1.0, 1, 0, 2, 1, 0])
    found = []
    for stands in (0.0, odd):
        z = x.detach().clone()
        z[[1, 2, 5]] = stands
        z.requires_grad_()
        options = {"sample_weight": each, "torch_nonfinite": torch_nonfinite, "chunk_tokens": 2}
        for loss in _both(z, w, target, b, z_loss=0.1, **options):
            found.append([loss.detach(), *torch.autograd.grad(loss, (z, w, b))])
    for plain, with_odd in zip(found[:2], found[2:], strict=True):
        for one, other in zip(plain, with_odd, strict=True):
            assert torch.equal(one, other)
        assert with_odd[1][[1, 2, 5]].eq(0).all()
        assert with_odd[1][[0, 3, 4]].ne(0).all()


@pytest.mark.usefixtures("backend", "elsewhere")
@pytest.mark.parametrize(("width", "classes"), [(0, 7), (1, 1), (3, 2), (1, 7)])
@pytest.mark.parametrize("with_bias", [False, True])
def test_few_classes_and_narrow_heads(width: int, classes: int, with_bias: bool) -> None:
    x, w, b = _numbers(5, width, classes)
    bias = b if with_bias else None
    target = torch.tensor([0, classes - 1, -100, 0, 0])
    found = dispatch.linear_softmax_nll(x, w, target, bias, entropy=True, chunk_tokens=2)
    exact = oracle.values(oracle.Given(x, w, target, bias))
    inputs = (x, w, b)[: 2 + with_bias]
    for got, expected in zip(found[:3], exact, strict=True):
        assert_close(got, expected, rtol=1e-12, atol=1e-12)
        slopes, true = (
            torch.autograd.grad(
                of.sum(), inputs, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            for of in (got, expected)
        )
        assert_close(slopes, true, rtol=1e-12, atol=1e-12)


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "turned": lambda t: t.t().contiguous().t(),
    "every other column": lambda t: torch.stack([t, t.flip(0)], -1)[..., 0],
    "every other row": lambda t: torch.stack([t, -t], 1).flatten(0, 1)[::2],
    "one row for all": lambda t: t[:1].expand(t.shape),
    "one column for all": lambda t: t[:, :1].expand(t.shape),
    "negative": lambda t: torch._neg_view(-t),
    "zeros without memory": lambda t: torch._efficientzerotensor(t.shape, dtype=t.dtype),
    "off the grid": lambda t: torch.cat([t.flatten()[:1], t.flatten()])[1:].view(t.shape),
}


@pytest.mark.usefixtures("backend", "onednn")
@pytest.mark.parametrize("which", ["hidden", "head", "both"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(layout: str, which: str) -> None:
    x, w, b = _numbers(7, 6, 9, dtype=torch.float32)
    target = torch.tensor([0, 8, -100, 3, 4, 1, 1])
    odd_x, odd_w = (
        LAYOUTS[layout](t.detach()) if which in (name, "both") else t.detach()
        for name, t in (("hidden", x), ("head", w))
    )
    found = []
    for contiguous in (False, True):
        inputs = [
            (t.clone(memory_format=torch.contiguous_format) if contiguous else t) for t in (odd_x, odd_w)
        ]
        inputs = [*(t.resolve_neg() * 1 if contiguous else t.detach() for t in inputs)]
        leaves = [t.requires_grad_() for t in inputs]
        for loss in _both(*leaves, target, b, chunk_tokens=3, logit_scale=0.7):
            found.append([loss.detach(), *torch.autograd.grad(loss, (*leaves, b))])
    for got, expected in zip(found[:2], found[2:], strict=True):
        assert_close(got, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    ("index", "wrong"),
    [(torch.int64, 5), (torch.int32, -3), (torch.int16, 99), (torch.int8, -3), (torch.uint8, 99)],
)
def test_a_class_that_there_is_not(index: torch.dtype, wrong: int) -> None:
    x, w, b = _numbers()
    target = torch.tensor([1, 1, 0, 2, wrong, wrong]).to(index)
    before = [t.detach().clone() for t in (x, w, b)]
    message = rf"target\[4\] is {wrong}, but there are 5 classes; expected 0 to 4, or ignore_index \(1\)"
    for call in (dispatch.linear_softmax_loss, dispatch.linear_softmax_nll):
        for chunk in (0, 2):
            with pytest.raises(IndexError, match=message):
                call(x, w, target, b, ignore_index=1, chunk_tokens=chunk)
    assert all(torch.equal(t, was) for t, was in zip((x, w, b), before, strict=True))
    assert x.grad is None


@pytest.mark.usefixtures("backend", "onednn")
def test_classes_that_cannot_be_by_their_bias() -> None:
    x, w, b = (t.detach().float().requires_grad_() for t in _numbers())
    with torch.no_grad():
        b[3] = -math.inf
    target = torch.tensor([0, 1, 2, 4, 3, -100])
    nll, lse, entropy, *_ = dispatch.linear_softmax_nll(x, w, target, b, entropy=True)
    assert nll[4] == math.inf
    values = nll[:4].sum() + lse.sum() + entropy.sum()
    slopes = torch.autograd.grad(values, (x, w, b))
    keep = [0, 1, 2, 4]
    wide = [t.detach().double().requires_grad_() for t in (x, w[keep], b[keep])]
    short = torch.tensor([0, 1, 2, 3, -100, -100])
    exact = oracle.values(oracle.Given(*wide[:2], short, wide[2]))
    full = oracle.values(oracle.Given(*wide[:2], torch.tensor([0, 1, 2, 3, 0, -100]), wide[2]))
    expected = exact[0].sum() + full[1].sum() + full[2].sum()
    assert_close(values.double(), expected, rtol=1e-5, atol=1e-5)
    true = torch.autograd.grad(expected, wide)
    assert_close(slopes[0].double(), true[0], rtol=1e-5, atol=1e-5)
    for got, of in zip(slopes[1:], true[1:], strict=True):
        assert_close(got[keep].double(), of, rtol=1e-5, atol=1e-5)
        assert not got[3].any()


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("trained", ["hidden", "head", "bias", "body and bias"])
def test_what_is_frozen_has_no_gradient(trained: str) -> None:
    x, w, b = _numbers()
    on = {"hidden": (x,), "head": (w,), "bias": (b,), "body and bias": (x, b)}[trained]
    for t in (x, w, b):
        t.requires_grad_(any(t is one for one in on))
    target = torch.tensor([0, 1, -100, 3, 4, 2])
    for loss, exact in zip(
        _both(x, w, target, b),
        (lambda v: v[0].sum(), lambda v: sum(of.sum() * k for k, of in enumerate(v, 1))),
        strict=True,
    ):
        loss.backward()
        expected = torch.autograd.grad(exact(oracle.values(oracle.Given(x, w, target, b))), on)
        for t in (x, w, b):
            assert (t.grad is None) != any(t is one for one in on)
        assert_close([t.grad for t in on], list(expected))
        for t in on:
            t.grad = None


@pytest.mark.usefixtures("backend")
def test_a_head_that_is_the_embedding_too() -> None:
    _, w, b = _numbers(classes=9)
    tokens, target = torch.tensor([1, 8, 3, 3, 0]), torch.tensor([8, 3, 3, 0, -100])
    for route in (0, 1):
        w.grad = None
        x = torch.tanh(w[tokens])
        if route:
            exact = oracle.values(oracle.Given(x, w, target, b))[0].sum() / 4
            (expected,) = torch.autograd.grad(exact, w)
        else:
            dispatch.linear_softmax_loss(x, w, target, b).backward()
            assert w.grad is not None
            found = w.grad
    assert_close(found, expected)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("scale", "each"), [(1.0, False), (65536.0, False), (65536.0, True)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_loss_scale_keeps_small_gradients(scale: float, each: bool, dtype: torch.dtype) -> None:
    x, w, b = (t.detach() for t in _numbers(6, 8, 20, dtype=dtype))
    with torch.no_grad():
        w *= 2
    target = torch.arange(6)
    found = {}
    for route in ("chunks", "logits", "exact"):
        leaves = [(t.double() if route == "exact" else t.clone()).requires_grad_() for t in (x, w, b)]
        if route == "exact":
            loss = oracle.values(oracle.Given(*leaves[:2], target, leaves[2]))[0].sum() / 4096
        elif route == "logits":
            loss = dispatch.softmax_loss(linear(*leaves), target, reduction="sum") / 4096
        elif each:
            loss = dispatch.linear_softmax_nll(*leaves[:2], target, leaves[2], chunk_tokens=5)[0].sum() / 4096
        else:
            loss = dispatch.linear_softmax_loss(
                *leaves[:2], target, leaves[2], normalizer=4096, chunk_tokens=5
            )
        found[route] = [g.double() / scale for g in torch.autograd.grad(loss * scale, leaves)]
    for got, peer, exact in zip(*found.values(), strict=True):
        assert int((got == 0).sum()) <= int((peer == 0).sum()) + 1
        close = {torch.float16: 2**-11, torch.bfloat16: 2**-8}[dtype]
        assert (got - exact).abs().max() <= 2 * (peer - exact).abs().max() + close * exact.abs().max()


@pytest.mark.usefixtures("backend", "onednn")
def test_tensors_that_do_not_fit_raise() -> None:
    x, w, b = _numbers(dtype=torch.float32)
    target = torch.arange(6) % 5
    fitting = {"hidden": x, "head_weight": w, "target": target, "head_bias": b}
    others: dict[str, Tensor] = {
        "hidden": torch.randn(2, 3, 4),
        "head_weight": torch.randn(5, 3),
        "target": target[:4],
        "head_bias": b[:4],
        "where": torch.ones(6, 4, dtype=torch.bool),
        "sample_weight": torch.ones(5),
    }
    narrow: dict[str, Tensor] = {"hidden": x.bfloat16(), "head_weight": w.double(), "head_bias": b.double()}
    for call in (dispatch.linear_softmax_loss, dispatch.linear_softmax_nll):
        for name, other in others.items():
            shape = re.escape(str(list(other.shape)))
            with pytest.raises(ShapeError, match=rf"{name}.*{shape}.*expected"):
                call(**{**fitting, name: other})
        with pytest.raises(ShapeError, match=r"target has shape \[6, 4\]; expected \[6, 5\]"):
            call(x, w, torch.rand(6, 4), b)
        for name, other in narrow.items():
            with pytest.raises(RuntimeError, match=r"dtype|Double"):
                call(**{**fitting, name: other})
