"""Focal losses on every backend beside their definition in mpmath: extreme confidence, 0, two derivatives."""

from __future__ import annotations

import mpmath
import pytest
import torch
from mpmath import mpf
from torch import Tensor

from likelihead.functional import (
    binary_cross_entropy_with_logits,
    binary_focal_loss,
    cross_entropy,
    focal_loss,
)
from oracles import imbalance as oracle
from served_here import INTERPRETED

GAMMAS = [0.3, 0.5, 1.0, 2.0, 5.0]
LOGITS = [0.0, 0.25, -1.0, 5.0, -5.0, 20.0, -20.0, 40.0, -40.0, 80.0, 300.0, -300.0, 700.0, -700.0]
# In units of the dtype's epsilon. The reference takes the powers' logarithms, and its factor's derivative is
# a difference where the truth is improbable.
BOUND = {"native": 8, "triton": 8, "portable": 8, "reference": 128}

pytestmark = pytest.mark.usefixtures("backend")


def _assert_near(got: Tensor, exact: list[mpf], bound: float, what: object) -> None:
    info = torch.finfo(got.dtype)
    for value, want in zip(got.tolist(), exact, strict=True):
        assert abs(mpf(value) - want) <= bound * info.eps * abs(want) + 2 * info.tiny, (what, value, want)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("classes", [2, 40, 120])
def test_classes(classes: int, dtype: torch.dtype, gamma: float, backend: str) -> None:
    others = torch.linspace(-0.5, 0.5, classes, dtype=dtype)
    for logit in LOGITS if classes < 100 else LOGITS[:8]:
        row = others.clone()
        row[1] = logit
        x = row[None].requires_grad_()
        loss = focal_loss(x, torch.tensor([1]), gamma, reduction="none")
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        value, slopes = oracle.focal(row.tolist(), 1, gamma)
        _assert_near(loss, [value], BOUND[backend], logit)
        _assert_near(gradient[0, :2], slopes[:2], BOUND[backend], logit)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_labels(dtype: torch.dtype, gamma: float, backend: str) -> None:
    x = torch.tensor(LOGITS, dtype=dtype).requires_grad_()
    for label in (0.0, 1.0):
        loss = binary_focal_loss(x, torch.full_like(x, label), gamma, reduction="none")
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        values, slopes = [], []
        with mpmath.workdps(oracle.DIGITS):
            for logit in LOGITS:
                wrong = 1 / (1 + mpmath.exp(-mpf(logit) * (1 - 2 * label)))
                nll, power = -mpmath.log(1 - wrong), wrong ** mpf(gamma)
                slope = power * wrong + mpf(gamma) * power * (1 - wrong) * nll
                values.append(power * nll)
                slopes.append(slope * (1 - 2 * label))
        _assert_near(loss, values, BOUND[backend], label)
        _assert_near(gradient, slopes, BOUND[backend], label)


# By differences of many values, each of which takes the interpreter milliseconds.
@pytest.mark.parametrize("gamma", [0.5, 2.0] if INTERPRETED else GAMMAS)
def test_two_derivatives(gamma: float) -> None:
    # The first logit is 0, where the reference once took the slope of abs, 0, for that of the factor.
    x = torch.tensor([0.0, 1.5, -2.0, 6.0], dtype=torch.float64, requires_grad=True)
    for label in (0.0, 0.3, 1.0):
        y = torch.full_like(x, label)
        assert torch.autograd.gradcheck(lambda x, y=y: binary_focal_loss(x, y, gamma), (x,))
        assert torch.autograd.gradgradcheck(lambda x, y=y: binary_focal_loss(x, y, gamma), (x,))
    z = torch.stack([x.detach(), -x.detach(), torch.zeros(4, dtype=torch.float64)]).requires_grad_()
    for target in (torch.tensor([0, 1, 3]), torch.tensor([3, 2, 0])):
        assert torch.autograd.gradgradcheck(lambda z, t=target: focal_loss(z, t, gamma), (z,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_gamma_zero_is_the_nll_to_the_bit(dtype: torch.dtype) -> None:
    z, y = torch.randn(50, 7).to(dtype), torch.randint(7, (50,))
    pairs = (
        (lambda x: focal_loss(x, y, 0.0), lambda x: cross_entropy(x, y)),
        (lambda x: binary_focal_loss(x, t, 0.0), lambda x: binary_cross_entropy_with_logits(x, t)),
    )
    t = torch.rand(50, 7).to(dtype)
    for focal, nll in pairs:
        x = z.clone().requires_grad_()
        first, second = focal(x), nll(x)
        assert torch.equal(first, second)
        assert torch.equal(*(torch.autograd.grad(loss, x)[0] for loss in (first, second)))
