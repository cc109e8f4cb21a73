"""Where nothing counts, in whatever way, the mean is 0 on the graph and its gradient is 0, at any logits.

Every likelihood of the contract suite, once for each way of making the denominator 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from likelihead.guard.switch import guard
from likelihead.likelihoods import Bernoulli, Categorical, Likelihood, MultiLabel
from likelihoods import contract
from likelihoods.cases import CASES, CLASSES, LABELS, Case

NORMALIZERS: dict[str, Any] = {
    "0": 0,
    "0.0": 0.0,
    **{
        str(dtype): torch.zeros((), dtype=dtype)
        for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32)
    },
}
BAD = (0.5, math.inf, -math.inf, math.nan)
every = pytest.mark.parametrize("case", CASES, ids=str)


def check(loss: Callable[..., Tensor], logits: Tensor, *given: Any, **options: Any) -> None:
    leaf = logits.clone().requires_grad_()
    with guard("cheap"):
        mean = loss(leaf, *given, **options)
    assert mean.item() == 0
    assert mean.dtype == logits.dtype
    (gradient,) = torch.autograd.grad(mean, leaf)  # fails off the graph
    assert bool((gradient == 0).all()), gradient


def inputs(case: Case, bad: float) -> tuple[Tensor, Tensor]:
    """Plain logits, but for one row, which has the bad value at every output."""
    target = contract.every_outcome(case)
    logits = torch.randn(len(target), *case.outcome, generator=torch.Generator().manual_seed(0))
    logits[1] = bad
    return logits, target


@every
@pytest.mark.parametrize("bad", BAD)
def test_a_normalizer_of_zero(case: Case, bad: float) -> None:
    logits, target = inputs(case, bad)
    for normalizer in NORMALIZERS.values():
        check(_lenient(case.make()), logits, target, normalizer=normalizer)


@every
@pytest.mark.parametrize("bad", BAD)
def test_sample_weights_of_zero(case: Case, bad: float) -> None:
    logits, target = inputs(case, bad)
    for weight in (torch.zeros(len(target)), torch.zeros(len(target), dtype=torch.int64)):
        check(case.make(), logits, target, sample_weight=weight)
        check(case.make(), logits, target, sample_weight=weight, normalizer=0)


@every
@pytest.mark.parametrize("bad", BAD)
def test_everything_is_left_out(case: Case, bad: float) -> None:
    logits, target = inputs(case, bad)
    if case.leave_out is not None:
        check(case.make(), logits, case.leave_out(target))
        check(case.make(), logits, case.leave_out(target), normalizer=torch.tensor(0.0))
    check(case.make(), logits[:0], target[:0])


def _lenient(likelihood: Likelihood) -> Callable[..., Tensor]:
    """Without the guard: the logits of an example that is scored may be NaN here."""

    def loss(*given: Any, **options: Any) -> Tensor:
        with guard("off"):
            return likelihood(*given, **options)

    return loss


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("z_loss", [0.0, 0.1])
def test_class_weights_of_zero(smoothing: float, z_loss: float, bad: float) -> None:
    logits, target = torch.zeros(6, CLASSES), torch.tensor([0, 0, -100, 0, 0, 0])
    logits[1, :2] = bad
    for weight in ([0.0, 1.0, 1.0, 2.0], [0.0] * CLASSES):
        likelihood = Categorical(CLASSES, weight=weight, label_smoothing=smoothing, z_loss=z_loss)
        leaf = logits.clone().requires_grad_()
        with guard("off"):
            loss = likelihood(leaf, target)
        assert loss.item() == 0
        (gradient,) = torch.autograd.grad(loss, leaf)
        assert bool((gradient == 0).all()), gradient


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_label_weights_of_zero(weight: float) -> None:
    """The number of labels counts whatever their weights are, so that these means are 0 by their values."""
    target = torch.ones(4, LABELS)
    target[2] = math.nan
    zero = MultiLabel(LABELS, weight=[0.0] * LABELS, pos_weight=[weight] * LABELS)
    check(zero, torch.randn(4, LABELS), target)
    check(MultiLabel(LABELS, pos_weight=[0.0] * LABELS), torch.randn(4, LABELS), target)
    check(Bernoulli(pos_weight=0.0), torch.randn(4, LABELS), target)
