"""Every fast backend against the reference: all options, dtypes and layouts, and what is not finite."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernel_cases import (
    EXAMPLES,
    THOUSAND,
    WITH_FIXTURES,
    Case,
    check_not_finite,
    check_reduced_softmax,
    check_sigmoid,
    check_softmax,
    seeded,
    sigmoid_cases,
    softmax_cases,
)
from likelihead.kernels import dispatch

ODD, SEED = st.sampled_from([-math.inf, math.inf, math.nan]), st.integers(0, 2**31)
UPSTREAM = st.sampled_from([1.0, -0.3])


@pytest.mark.usefixtures("fused")
@given(softmax_cases())
@THOUSAND
def test_softmax_agrees_with_the_reference(case: Case) -> None:
    check_softmax(case)


@given(softmax_cases(), ODD, SEED)
@THOUSAND
def test_what_is_not_finite_is_as_in_the_reference(fused: str, case: Case, odd: float, seed: int) -> None:
    check_not_finite(fused, case, odd, seed)


@pytest.mark.usefixtures("fused")
@given(softmax_cases(), st.sampled_from(["mean", "sum"]), st.sampled_from([None, 3.5]), UPSTREAM)
@settings(max_examples=3 * EXAMPLES, suppress_health_check=WITH_FIXTURES)
def test_reduced_softmax_agrees(
    case: Case, reduction: str, normalizer: float | None, upstream: float
) -> None:
    check_reduced_softmax(case, reduction, normalizer, upstream)


@pytest.mark.usefixtures("fused")
@given(sigmoid_cases(), st.sampled_from(["none", "mean", "sum"]))
@THOUSAND
def test_sigmoid_agrees_with_the_reference(case: Case, reduction: str) -> None:
    check_sigmoid(case, reduction)


@pytest.mark.usefixtures("fast")
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


@pytest.mark.usefixtures("fast")
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
