"""Focal losses: identities, a an mpmath oracle, and the ends of the range."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from likelihead.errors import DTypeError, OptionError, ShapeError, TargetError
from likelihead.likelihoods import Bernoulli, Categorical, binary_focal_loss, focal_loss
from oracles import imbalance as oracle

ROWS = [[2.0, 0.0, -1.0], [30.0, 0.0, -5.0], [-40.0, 10.0, 0.0], [1e-3, 0.0, 0.0], [700.0, -700.0, 0.0]]


def rel(got: float, exact: object) -> float:
    return abs(got - exact) / max(abs(exact), 1e-300)  # type: ignore[operator, call-overload, no-any-return]


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 5.5])
def test_value_and_gradient_are_the_oracles(gamma: float) -> None:
    for row in ROWS:
        for target in range(3):
            logits = torch.tensor([row], dtype=torch.float64, requires_grad=True)
            loss = focal_loss(logits, torch.tensor([target]), gamma)
            (gradient,) = torch.autograd.grad(loss, logits)
            value, slopes = oracle.focal(row, target, gamma)
            assert rel(loss.item(), value) < 1e-11
            for got, exact in zip(gradient[0].tolist(), slopes, strict=True):
                assert abs(got - exact) <= 1e-11 * abs(exact) + 1e-290


@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_binary_value_is_the_oracles(gamma: float, alpha: float | None) -> None:
    for logit in (-700.0, -30.0, -1.0, 0.0, 2.0, 30.0, 700.0):
        for y in (0.0, 0.3, 1.0):
            z, label = torch.tensor([logit, y], dtype=torch.float64)
            loss = binary_focal_loss(z, label, gamma, alpha=alpha)
            assert rel(loss.item(), oracle.binary_focal(logit, y, gamma, alpha)) < 1e-11


def test_gamma_zero_is_the_nll_to_the_bit() -> None:
    logits = torch.randn(50, 4)
    target = torch.randint(4, (50,))
    target[::7] = -100
    weight = torch.tensor([1.0, 2.0, 0.0, 0.5])
    for options in ({}, {"weight": weight}):
        assert torch.equal(
            focal_loss(logits, target, 0.0, reduction="none", **options),
            Categorical(4, **options).nll(logits, target),
        )
        assert torch.equal(
            focal_loss(logits, target, 0.0, **options), Categorical(4, **options)(logits, target)
        )
    labels = (logits > 0).float()
    labels[0] = torch.nan
    assert torch.equal(binary_focal_loss(logits, labels, 0.0), Bernoulli()(logits, labels))


def test_the_ratio_to_the_nll_is_the_factor() -> None:
    logits = torch.randn(20, 3, dtype=torch.float64)
    target = torch.randint(3, (20,))
    p = torch.softmax(logits, 1).gather(1, target[:, None]).squeeze(1)
    ratio = focal_loss(logits, target, 1.7, reduction="none") / Categorical(3).nll(logits, target)
    assert_close(ratio, (1 - p) ** 1.7)


def test_two_classes_are_one_logit() -> None:
    z = torch.randn(30, dtype=torch.float64) * 4
    y = torch.randint(2, (30,))
    two = torch.stack([torch.zeros_like(z), z], 1)
    assert_close(binary_focal_loss(z, y, 2.5), focal_loss(two, y, 2.5))
    assert_close(
        binary_focal_loss(z, y, 2.5, alpha=0.25, reduction="sum"),
        focal_loss(two, y, 2.5, weight=torch.tensor([0.75, 0.25], dtype=torch.float64), reduction="sum"),
    )


@pytest.mark.parametrize("gamma", [0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_ends_have_finite_gradients(gamma: float, dtype: torch.dtype) -> None:
    logits = torch.tensor([[1e4, 0.0], [0.0, 1e4], [200.0, 0.0], [0.0, 0.0]], dtype=dtype, requires_grad=True)
    (gradient,) = torch.autograd.grad(focal_loss(logits, torch.zeros(4, dtype=torch.long), gamma), logits)
    assert bool(torch.isfinite(gradient).all())
    assert gradient[0].tolist() == [0.0, 0.0]
    assert gradient[1].tolist() == [-0.25, 0.25]
    single = logits.detach()[:, 0].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(binary_focal_loss(single, torch.tensor([1, 0, 1, 1]), gamma), single)
    assert bool(torch.isfinite(gradient).all())


def test_gradients_numerically() -> None:
    target = torch.tensor([0, 2, 1])
    logits = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    for gamma in (0.5, 2.0):
        assert torch.autograd.gradcheck(lambda z, g=gamma: focal_loss(z, target, g), logits)
        assert torch.autograd.gradgradcheck(lambda z, g=gamma: focal_loss(z, target, g), logits)
    y = torch.rand(3, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: binary_focal_loss(z, y, 1.5, alpha=0.3), logits)


def test_an_improbable_truth_and_a_masked_class() -> None:
    logits = torch.tensor([[-math.inf, 0.0, 1.0]])
    assert focal_loss(logits, torch.tensor([0])).item() == math.inf
    assert math.isfinite(focal_loss(logits, torch.tensor([1])).item())
    zero = torch.tensor([0.0, 1.0, 1.0])
    assert focal_loss(logits, torch.tensor([0]), weight=zero, reduction="sum").item() == 0


def test_what_is_left_out_does_not_count() -> None:
    logits = torch.randn(2, 3, 4, dtype=torch.float64)
    target = torch.randint(3, (2, 4))
    kept = target.clone()
    kept[0, :2] = -100
    some = focal_loss(logits, kept, reduction="none")
    assert some[0, :2].tolist() == [0.0, 0.0]
    assert_close(focal_loss(logits, kept), some.sum() / 6)
    assert_close(focal_loss(logits, kept, normalizer=12), some.sum() / 12)
    assert focal_loss(logits, torch.full_like(target, -100)).item() == 0
    labels = torch.tensor([1.0, torch.nan, 0.0])
    z = torch.tensor([0.5, 3.0, 1.0], requires_grad=True)
    loss = binary_focal_loss(z, labels, mask=torch.tensor([True, True, False]))
    assert_close(loss, binary_focal_loss(z[:1], labels[:1]))
    (gradient,) = torch.autograd.grad(loss, z)
    assert gradient[1:].tolist() == [0.0, 0.0]


def test_logit_offset_is_that_of_the_likelihood() -> None:
    offset = torch.tensor([0.7, 0.2, 0.1]).log()
    logits, target = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    assert_close(
        focal_loss(logits, target, logit_offset=offset, gamma=0.0),
        Categorical(3, logit_offset=offset)(logits, target),
    )
    assert_close(focal_loss(logits, target, logit_offset=offset), focal_loss(logits + offset, target))


def test_refusals() -> None:
    logits, target = torch.zeros(2, 3), torch.tensor([0, 1])
    with pytest.raises(OptionError, match=r"gamma is -1\.0"):
        focal_loss(logits, target, -1.0)
    with pytest.raises(DTypeError, match="class indices"):
        focal_loss(logits, torch.zeros(2, 3))
    with pytest.raises(ShapeError, match=r"weight has shape \[2\].*LH602"):
        focal_loss(logits, target, weight=torch.ones(2))
    with pytest.raises(TargetError, match="LH203"):
        focal_loss(logits, torch.tensor([0, 3]))
    with pytest.raises(OptionError, match="alpha is 2"):
        binary_focal_loss(logits, logits, alpha=2.0)
    with pytest.raises(ShapeError, match="LH302"):
        binary_focal_loss(logits, logits[:, 0])
    with pytest.raises(OptionError, match="reduction"):
        focal_loss(logits, target, reduction="average")  # type: ignore[arg-type]
