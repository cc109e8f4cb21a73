"""Weights of the examples in every likelihood: a weight of 2 is the example twice, one of 0 is none."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.guard.switch import guard
from likelihead.likelihoods import (
    Bernoulli,
    Categorical,
    ClassCounts,
    Gaussian,
    LabelCounts,
    Likelihood,
    MultiLabel,
)
from likelihoods import contract
from likelihoods.cases import CASES, Case

every = pytest.mark.parametrize("case", CASES, ids=str)
TIMES = torch.tensor([0, 1, 2, 3, 1, 1, 0, 2, 1, 4, 1, 2])


def _inputs(case: Case) -> tuple[Tensor, Tensor]:
    target = contract.every_outcome(case)
    if target.is_floating_point():
        target = target.double()
    generator = torch.Generator().manual_seed(3)
    return torch.randn(len(target), *case.outcome, dtype=torch.float64, generator=generator), target


def _with_gradient(
    likelihood: Likelihood, logits: Tensor, target: Tensor, **options: Any
) -> tuple[Tensor, Tensor]:
    leaf = logits.clone().requires_grad_()
    loss = likelihood(leaf, target, **options)
    (gradient,) = torch.autograd.grad(
        loss, leaf, torch.linspace(1, 2, loss.numel()).reshape(loss.shape).to(loss)
    )
    return loss.detach(), gradient


def _summed_by_row(values: Tensor, times: Tensor) -> Tensor:
    """The sum over the repetitions of each row."""
    index = torch.arange(len(times)).repeat_interleave(times)
    return torch.zeros(len(times), *values.shape[1:], dtype=values.dtype).index_add(0, index, values)


@every
@pytest.mark.parametrize("dtype", [torch.float64, torch.int64], ids=str)
def test_whole_numbers_are_repetitions(case: Case, dtype: torch.dtype) -> None:
    logits, target = _inputs(case)
    weight = TIMES.to(dtype)
    repeated = logits.repeat_interleave(TIMES, 0), target.repeat_interleave(TIMES, 0)
    for reduction in ("sum", "mean"):
        likelihood = case.make(reduction=reduction)
        loss, gradient = _with_gradient(likelihood, logits, target, sample_weight=weight)
        expected, expected_gradient = _with_gradient(likelihood, *repeated)
        assert_close(loss, expected, rtol=1e-12, atol=1e-12)
        assert_close(gradient, _summed_by_row(expected_gradient, TIMES), rtol=1e-10, atol=1e-12)
    likelihood = case.make(reduction="none")
    nll = likelihood(logits, target, sample_weight=weight)
    assert_close(nll, likelihood.nll(logits, target, sample_weight=weight), rtol=0, atol=0)
    assert_close(nll, _summed_by_row(likelihood.nll(*repeated), TIMES), rtol=1e-12, atol=1e-12)
    assert float(likelihood.count(target, sample_weight=weight)) == float(likelihood.count(repeated[1]))
    residual = likelihood.residual(logits, target, sample_weight=weight)
    assert_close(residual, _summed_by_row(likelihood.residual(*repeated), TIMES), rtol=1e-10, atol=1e-12)
    whole = case.make()(logits, target, sample_weight=weight, normalizer=5)
    assert_close(whole, nll.sum() / 5)
    # What targets alone say, of a tensor and of a stream.
    for method in ("baseline_nll", "best_constant"):
        ask = getattr(case.make(), method)
        expected = ask(repeated[1])
        assert_close(ask(target, sample_weight=weight), expected, rtol=1e-9, atol=1e-9)
        streamed = ask(target.split(5), sample_weight=weight.split(5))
        assert_close(streamed, expected, rtol=1e-9, atol=1e-9)


@every
def test_a_weight_for_each_value_of_an_example(case: Case) -> None:
    """The shape of `nll` itself, at random: the sums are those by hand."""
    logits, target = _inputs(case)
    likelihood = case.make(reduction="none")
    nll = likelihood(logits, target)
    weight = torch.rand(nll.shape, dtype=torch.float64).round(decimals=1)
    assert_close(likelihood(logits, target, sample_weight=weight), nll * weight)
    mean = case.make()
    counts = likelihood.count(target, sample_weight=weight)
    assert_close(mean(logits, target, sample_weight=weight) * counts, (nll * weight).sum())
    assert_close(mean(logits, target, sample_weight=torch.ones_like(weight)), mean(logits, target))


@every
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("level", ["cheap", "full"])
def test_a_weight_of_0_leaves_out_whatever_is_there(case: Case, bad: float, level: str) -> None:
    logits, target = _inputs(case)
    out = torch.zeros(len(target), dtype=torch.bool)
    out[2:7] = True
    weight = torch.where(out, 0.0, 1.5)
    damaged = logits.clone()
    damaged[out] = bad
    wrong = target.clone()
    if target.is_floating_point():
        wrong[out] = bad
    if case.name == "categorical-plain":
        shares = torch.rand(logits.shape, dtype=torch.float64)
        shares = shares / shares.sum(1, keepdim=True)
        target, wrong = shares, torch.where(out.unsqueeze(1), bad, shares)
    for reduction in ("none", "sum", "mean"):
        likelihood = case.make(reduction=reduction)
        with guard(level):
            loss, gradient = _with_gradient(likelihood, damaged, wrong, sample_weight=weight)
            residual = likelihood.residual(damaged, wrong, sample_weight=weight)
        expected, expected_gradient = _with_gradient(likelihood, logits, target, sample_weight=weight)
        assert_close(loss, expected, rtol=1e-12, atol=1e-12)
        assert_close(gradient, expected_gradient, rtol=1e-12, atol=1e-12)
        for found in (gradient, residual):
            assert bool((found[out] == 0).all())
        if reduction == "mean":
            kept, _ = _with_gradient(likelihood, logits[~out], target[~out])
            assert_close(loss, kept, rtol=1e-12, atol=1e-12)
            assert float(likelihood.count(wrong, sample_weight=weight)) == 1.5 * float(
                likelihood.count(target[~out])
            )
    if case.dtype != torch.int64:
        for method in ("baseline_nll", "best_constant"):
            ask = getattr(case.make(), method)
            assert_close(ask(wrong, sample_weight=weight), ask(target[~out]), rtol=1e-9, atol=1e-9)


@every
def test_the_derivative_by_a_weight_is_the_value(case: Case) -> None:
    """Also at a weight of 0, where weights that are learned begin."""
    logits, target = _inputs(case)
    weight = torch.tensor([0.0, 1.0, 0.5] * 4, dtype=torch.float64, requires_grad=True)
    likelihood = case.make(reduction="sum")
    (slope,) = torch.autograd.grad(likelihood(logits, target, sample_weight=weight), weight)
    nll = likelihood.nll(logits, target)
    assert_close(slope, nll.reshape(len(target), -1).sum(1))
    mapped = torch.func.grad(lambda s: likelihood(logits, target, sample_weight=s))(weight.detach())
    assert_close(mapped, slope)


@every
def test_all_weights_0(case: Case) -> None:
    logits, target = _inputs(case)
    loss, gradient = _with_gradient(case.make(), logits, target, sample_weight=torch.zeros(len(target)))
    assert loss == 0
    assert gradient.count_nonzero() == 0
    assert float(case.make().baseline_nll(target, sample_weight=torch.zeros(len(target)))) == 0


@every
def test_shapes_that_are_no_prefix(case: Case) -> None:
    logits, target = _inputs(case)
    for shape in (
        (),
        (len(target), 7),
        (len(target) + 1,),
        (1, len(target)),
        (*case.make().nll(logits, target).shape, 1),
    ):
        for call in (
            lambda w: case.make()(logits, target, sample_weight=w),
            lambda w: case.make().nll(logits, target, sample_weight=w),
            lambda w: case.make().count(target, sample_weight=w),
            lambda w: case.make().residual(logits, target, sample_weight=w),
            lambda w: case.make().baseline_nll(target, sample_weight=w),
        ):
            with guard("off"), pytest.raises(ShapeError, match=r"sample_weight has shape .*LH603"):
                call(torch.ones(shape))


def test_sizes_that_agree_do_not_mislead() -> None:
    logits, target = torch.randn(3, 3), torch.tensor([[1.0, 0, 1], [0, 0, 1], [1, 1, 0]])
    weight = torch.tensor([1.0, 2.0, 0.0])
    found = MultiLabel(3, reduction="none")(logits, target, sample_weight=weight)
    assert_close(found, MultiLabel(3, reduction="none")(logits, target) * weight.unsqueeze(1))
    pixels = torch.randint(3, (3, 3, 3))
    logits = torch.randn(3, 3, 3, 3)
    found = Categorical(3, reduction="none")(logits, pixels, sample_weight=weight)
    assert_close(found, Categorical(3, reduction="none")(logits, pixels) * weight.view(3, 1, 1))


def test_values_that_are_no_weights() -> None:
    logits, target = torch.zeros(2, 3), torch.tensor([0, 1])
    for bad in (-1.0, math.nan, math.inf):
        weight = torch.tensor([1.0, bad])
        with pytest.raises(OptionError, match=r"sample_weight\[1\]"):
            Categorical(3)(logits, target, sample_weight=weight)
        with pytest.raises(OptionError, match=r"sample_weight\[1\]"):
            Categorical(3).baseline_nll(target, sample_weight=weight)
    with pytest.raises(DTypeError, match="sample_weight is a list"):
        Categorical(3)(logits, target, sample_weight=[1.0, 2.0])
    with pytest.raises(RuntimeError, match="two devices, cpu and meta"):
        Gaussian()(torch.zeros(2), torch.zeros(2), sample_weight=torch.ones(2, device="meta"))


def test_streams_go_together() -> None:
    target, weight = torch.tensor([0, 1, 1]), torch.tensor([1.0, 2.0, 3.0])
    with pytest.raises(OptionError, match="targets is a stream and sample_weight a tensor"):
        Categorical.from_targets(iter([target]), sample_weight=weight)
    with pytest.raises(OptionError, match="sample_weight ends first"):
        Categorical.from_targets([target, target], sample_weight=[weight])
    with pytest.raises(OptionError, match="targets ends first"):
        Categorical.from_targets([target], sample_weight=[weight, weight])
    with pytest.raises(OptionError, match="without targets"):
        Categorical.from_targets(target).baseline_nll(sample_weight=weight)


def test_from_targets_and_counts() -> None:
    classes, weight = torch.tensor([0, 2, 2, -100]), torch.tensor([0.5, 1.0, 2.0, 9.0])
    seen = Categorical.from_targets(classes, sample_weight=weight)
    assert seen.num_classes == 3
    assert seen.summarise()[0].tolist() == [0.5, 0.0, 3.0]
    assert Categorical.from_targets(classes, num_classes=4, sample_weight=weight).summary[0].tolist() == [
        0.5,
        0,
        3,
        0,
    ]
    assert ClassCounts.from_targets(classes, sample_weight=weight).counts.tolist() == [0.5, 0.0, 3.0]
    assert ClassCounts.from_targets(iter([classes]), sample_weight=iter([weight])).counts.tolist() == [
        0.5,
        0,
        3,
    ]
    labels = torch.tensor([[1.0, 0.0], [math.nan, 1.0]])
    assert LabelCounts.from_targets(labels, sample_weight=torch.tensor([2.0, 3.0])).counts.tolist() == [
        [0, 2],
        [2, 3],
    ]
    multi = MultiLabel.from_targets(labels, sample_weight=torch.tensor([2.0, 3.0]))
    assert multi.summary.tolist() == [[0, 2], [2, 3]]
    assert Bernoulli.from_targets(labels[:, 1], sample_weight=torch.tensor([1, 3])).summary.tolist() == [1, 3]
    head = multi.init_bias_(multi.head(1), labels, sample_weight=torch.tensor([2.0, 3.0]))
    assert_close(head.bias.detach().double(), multi.best_constant(), rtol=1e-6, atol=1e-6)


def test_a_subclass_that_knows_of_no_weights() -> None:
    class Twice(Categorical):
        def nll(self, logits: Tensor, target: Tensor) -> Tensor:
            return 2 * super().nll(logits, target)

    logits, target = torch.randn(2, 3), torch.tensor([0, 1])
    assert_close(Twice(3)(logits, target), 2 * Categorical(3)(logits, target))


def test_compiles() -> None:
    torch.manual_seed(0)
    logits, target, weight = torch.randn(4, 3), torch.randn(4, 3), torch.tensor([1.0, 0.0, 2.0, 0.5])
    for likelihood, y in (
        (Gaussian(), target),
        (MultiLabel(3), target.sigmoid()),
        (Categorical(3), target.argmax(1)),
    ):
        compiled = torch.compile(likelihood, backend="eager", fullgraph=True)
        assert_close(compiled(logits, y, sample_weight=weight), likelihood(logits, y, sample_weight=weight))


@pytest.mark.parametrize("ready", [Categorical.from_log_probs(3), Bernoulli.from_log_probs()], ids=repr)
def test_ready_log_probabilities(ready: Likelihood) -> None:
    logits, weight = torch.randn(4, 3), torch.tensor([1.0, 0.0, 2.0, 0.5])
    if isinstance(ready, Categorical):
        plain, z, log_probs, target = (
            Categorical(3),
            logits,
            logits.log_softmax(1),
            torch.tensor([0, 1, 2, 2]),
        )
    else:
        plain, z, target = Bernoulli(), logits[:, 0], torch.tensor([0.0, 1.0, 1.0, 0.0])
        log_probs = torch.nn.functional.logsigmoid(z)
    log_probs[1] = math.nan
    assert_close(ready(log_probs, target, sample_weight=weight), plain(z, target, sample_weight=weight))
