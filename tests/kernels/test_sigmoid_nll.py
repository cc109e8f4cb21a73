"""The Bernoulli kernel against 60-digit arithmetic."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from likelihead.kernels.dispatch import sigmoid_nll
from likelihead.kernels.ops import sigmoid_count
from likelihead.kernels.reference.sigmoid_residual import nll_with_exact_residual, sigmoid_residual
from oracles.exact import bernoulli_nll, worst_ulps

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


# Every test of this file holds for every backend of this machine.
pytestmark = pytest.mark.usefixtures("backend")


BOUND = {"float64": 2.0, "float32": 2.0, "float16": 1.0, "bfloat16": 1.0}


@pytest.mark.parametrize("label", [0.0, 1.0, 0.25, 0.9])
@pytest.mark.parametrize("name", DTYPES)
def test_value_and_gradient_to_the_last_digit(name: str, label: float) -> None:
    dtype = DTYPES[name]
    grid = torch.cat([torch.linspace(-12, 12, 97), torch.tensor([-37.0, 37.0, -80.0, 80.0, 1e4, -1e4, 0.0])])
    x = grid.to(dtype).requires_grad_()
    target = torch.full_like(x, label).detach()
    exact = [bernoulli_nll(v, float(target[0])) for v in x.tolist()]
    nll = sigmoid_nll(x, target)
    (gradient,) = torch.autograd.grad(nll.sum(), x)
    assert worst_ulps(nll.to(dtype), [e[0] for e in exact], dtype) <= BOUND[name]
    assert worst_ulps(gradient, [e[1] for e in exact], dtype) <= BOUND[name]


def test_the_textbook_form_would_fail_these_bounds() -> None:
    x = torch.linspace(-12, 12, 97).requires_grad_()
    exact = [bernoulli_nll(v, 1.0) for v in x.tolist()]
    nll = -torch.log(torch.sigmoid(x))
    assert worst_ulps(nll, [e[0] for e in exact], torch.float32) > 100


@given(
    x=st.floats(-30, 30) | st.sampled_from([1e4, -1e4, 0.0, 700.0, -745.0]),
    t=st.floats(0, 1),
    pos_weight=st.floats(0.1, 50),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_float64_residual_survives_cancellation(x: float, t: float, pos_weight: float) -> None:
    a, b = 1 - t, t * pos_weight
    tensors = [torch.tensor([v], dtype=torch.float64) for v in (x, a, b)]
    # The exact residual of the rounded a and b, which are what the function is given.
    exact = bernoulli_nll(x, 0.0)[1] * a - bernoulli_nll(-x, 0.0)[1] * b
    if abs(exact) > 1e-3 * max(a, b) * min(1.0, math.exp(-abs(x))):
        assert worst_ulps(sigmoid_residual(*tensors), [exact], torch.float64) <= 3


def test_infinite_logits_have_the_limits_as_residual() -> None:
    x = torch.tensor([math.inf, -math.inf, math.nan], dtype=torch.float64)
    residual = sigmoid_residual(x, torch.full_like(x, 0.75), torch.full_like(x, 0.25))
    torch.testing.assert_close(residual, torch.tensor([0.75, -0.25, math.nan]).double(), equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_missing_labels_are_left_out(dtype: torch.dtype) -> None:
    x = torch.randn(3, 4, dtype=dtype, requires_grad=True)
    target = torch.randint(2, (3, 4)).to(dtype)
    target[0, 1] = math.nan
    mask = torch.ones(3, 4, dtype=torch.bool)
    mask[2, 3] = False
    logits = torch.where(mask, x, math.nan)  # a masked logit may be anything
    nll = sigmoid_nll(logits, target, mask=mask)
    (gradient,) = torch.autograd.grad(nll.sum(), x)
    left_out = torch.zeros(3, 4, dtype=torch.bool)
    left_out[0, 1] = left_out[2, 3] = True
    assert not nll[left_out].any()
    assert not gradient[left_out].any()
    assert nll[~left_out].all()
    assert gradient[~left_out].all()
    assert int(sigmoid_count(target, mask=mask)) == 10


def test_a_nan_label_shows_when_it_is_not_to_be_skipped() -> None:
    target = torch.tensor([1.0, math.nan])
    assert sigmoid_nll(torch.zeros(2), target, skip_nan_target=False).isnan().tolist() == [False, True]
    assert sigmoid_count(target, skip_nan_target=False) == 2


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64])
def test_labels_of_any_dtype(dtype: torch.dtype) -> None:
    x, target = torch.randn(6), torch.randint(2, (6,))
    assert torch.equal(sigmoid_nll(x, target.to(dtype)), sigmoid_nll(x, target.float()))


def test_weights_broadcast() -> None:
    x, target = torch.randn(4, 3), torch.rand(4, 3)
    weight, pos_weight = torch.rand(4, 1), torch.rand(3)
    exact = [
        float(bernoulli_nll(float(x[i, j]), float(target[i, j]), float(pos_weight[j]))[0] * float(weight[i]))
        for i in range(4)
        for j in range(3)
    ]
    nll = sigmoid_nll(x, target, weight=weight, pos_weight=pos_weight)
    torch.testing.assert_close(nll.flatten(), torch.tensor(exact))


@pytest.mark.parametrize("function", [
    lambda x, t, w: sigmoid_nll(x, t, pos_weight=w, weight=w),
    lambda x, t, w: nll_with_exact_residual(x, 1 - t, t * w),
])  # fmt: skip
def test_derivatives_of_every_order(function: object) -> None:
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    t = torch.rand(3, 2, dtype=torch.float64, requires_grad=True)
    w = torch.rand(2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, (x, t, w), check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(function, (x, t, w), check_fwd_over_rev=True)


def test_float64_under_vmap() -> None:
    x, t = torch.randn(5, 3, dtype=torch.float64), torch.rand(5, 3, dtype=torch.float64)

    def loss(a: Tensor, b: Tensor) -> Tensor:
        return sigmoid_nll(a, b).sum()

    gradient = torch.vmap(torch.func.grad(loss))(x, t)
    torch.testing.assert_close(gradient, x.sigmoid() - t)
