"""Every fast backend against the reference: all options, dtypes and layouts, and what is not finite."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernel_cases import (
    EXAMPLES,
    THOUSAND,
    WITH_FIXTURES,
    before_the_cap,
    compare,
    seeded,
    sigmoid_cases,
    softmax_cases,
)
from likelihead.kernels import dispatch
from likelihead.kernels.dispatch import use_backend

pytestmark = pytest.mark.usefixtures("fast")


@given(softmax_cases())
@THOUSAND
def test_softmax_agrees_with_the_reference(case: tuple[Tensor, Tensor, dict[str, object]]) -> None:
    logits, target, options = case

    def run(z: Tensor, cast: Any) -> list[Tensor]:
        return list(dispatch.softmax_nll(z, cast(target), **{k: cast(v) for k, v in options.items()}))

    compare(run, logits, target, 1.0, before_the_cap(target, options))


@given(softmax_cases(), st.sampled_from([-math.inf, math.inf, math.nan]), st.integers(0, 2**31))
@THOUSAND
def test_what_is_not_finite_is_as_in_the_reference(
    fast: str, case: tuple[Tensor, Tensor, dict[str, object]], odd: float, seed: int
) -> None:
    logits, target, options = case
    g = seeded(seed)
    logits = logits.clone()
    logits[torch.rand(logits.shape, generator=g) < 0.1] = odd
    if isinstance(options["weight"], Tensor):
        options["weight"] = options["weight"] * (torch.rand(logits.shape[1], generator=g) < 0.7)
    if target.is_floating_point():
        target = target * (torch.rand(target.shape, generator=g) < 0.7)
    found = []
    for backend in (fast, "reference"):
        with use_backend(backend):
            z = logits.detach().requires_grad_()
            nll, lse = dispatch.softmax_nll(z, target, **options)
            found.append((nll, lse, torch.autograd.grad(nll.sum(), z)[0]))
    for got, expected in zip(*found, strict=True):
        assert torch.equal(got.isnan(), expected.isnan())
        assert torch.equal(got.isinf(), expected.isinf())


@given(
    softmax_cases(),
    st.sampled_from(["mean", "sum"]),
    st.sampled_from([None, 3.5]),
    st.sampled_from([1.0, -0.3]),
)
@settings(max_examples=3 * EXAMPLES, suppress_health_check=WITH_FIXTURES)
def test_reduced_softmax_agrees(
    case: tuple[Tensor, Tensor, dict[str, object]], reduction: str, normalizer: float | None, upstream: float
) -> None:
    logits, target, options = case
    more = {"reduction": reduction, "normalizer": normalizer if reduction == "mean" else None}

    def run(z: Tensor, cast: Any) -> list[Tensor]:
        return [dispatch.softmax_loss(z, cast(target), **{k: cast(v) for k, v in options.items()}, **more)]

    compare(run, logits, target, upstream, before_the_cap(target, options))


@given(sigmoid_cases(), st.sampled_from(["none", "mean", "sum"]))
@THOUSAND
def test_sigmoid_agrees_with_the_reference(
    case: tuple[Tensor, Tensor, dict[str, object]], reduction: str
) -> None:
    logits, target, options = case

    def run(z: Tensor, cast: Any) -> list[Tensor]:
        given = {k: cast(v) for k, v in options.items()}
        if reduction == "none":
            return [dispatch.sigmoid_nll(z, cast(target), **given)]
        return [dispatch.sigmoid_loss(z, cast(target), reduction=reduction, **given)]

    compare(run, logits, target, 1.0)


@pytest.mark.parametrize("shape", [(0, 5), (0, 5, 3), (2, 5, 0)])
def test_nothing_to_do(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, requires_grad=True)
    target = torch.zeros((shape[0], *shape[2:]), dtype=torch.int64)
    nll, lse = dispatch.softmax_nll(x, target)
    assert nll.shape == lse.shape == target.shape
    assert dispatch.softmax_loss(x, target).isnan()
    assert dispatch.softmax_loss(x, target, reduction="sum") == 0
    (gradient,) = torch.autograd.grad(dispatch.softmax_loss(x, target, reduction="sum"), x)
    assert gradient.shape == shape
    assert dispatch.sigmoid_nll(x, torch.zeros(shape)).shape == shape


def _bce(x: Tensor, t: Tensor, positive: Tensor, each: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and gradient of double logits, by the formula; `t` is far enough from the sigmoid for a double."""
    zero = torch.zeros_like(x)
    nll = each * (positive * t * torch.logaddexp(zero, -x) + (1 - t) * torch.logaddexp(zero, x))
    return nll, each * ((1 - t) * x.sigmoid() - positive * t * (-x).sigmoid())


@pytest.mark.parametrize("columns", [1, 3, 511, 512, 513, 1500])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_blocks_of_every_kind_side_by_side(columns: int, dtype: torch.dtype) -> None:
    # One call with blocks of labels 0 and 1, of soft ones, with an infinite logit, and one that is cut short.
    g = seeded(columns)
    shape = (3000 // columns, columns)
    x = (torch.randn(shape, generator=g, dtype=torch.float64) * 6).to(dtype)
    t = torch.rand(shape, generator=g, dtype=torch.float64).round()
    t.view(-1)[1024:1600] = 0.25
    t = t.to(dtype)
    x.view(-1)[2100] = math.inf
    t.view(-1)[2100] = 0
    t.view(-1)[2101] = math.nan
    positive = torch.rand(columns, generator=g) + 0.5
    each = torch.rand(shape, generator=g) + 0.5
    z = x.detach().requires_grad_()
    nll = dispatch.sigmoid_nll(z, t, weight=each, pos_weight=positive)
    gradient = torch.autograd.grad(nll.sum(), z)[0]
    expected, slope = _bce(x.double(), t.double().nan_to_num(nan=0.0), positive.double(), each.double())
    expected.view(-1)[2100], slope.view(-1)[2100] = math.inf, each.view(-1)[2100]
    expected.view(-1)[2101] = slope.view(-1)[2101] = 0
    close = {torch.float32: 1e-6, torch.float64: 1e-13, torch.bfloat16: 1e-6}[dtype]
    torch.testing.assert_close(nll.double(), expected, rtol=close, atol=0)
    close = {torch.bfloat16: 2**-8, torch.float32: 3e-6}.get(dtype, close)
    torch.testing.assert_close(gradient.double(), slope, rtol=close, atol=close / 10)
