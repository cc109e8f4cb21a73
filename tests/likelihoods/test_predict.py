"""Decisions against brute force: mode, thresholds, cost matrices, and their ties."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likelihead.errors import OptionError, ShapeError
from likelihead.likelihoods import Bernoulli, Categorical, Gaussian, MultiLabel

NUMBER = st.floats(-8.0, 8.0, width=32, allow_subnormal=False)


def table(draw, rows: int, columns: int, values=NUMBER) -> torch.Tensor:
    flat = draw(st.lists(values, min_size=rows * columns, max_size=rows * columns))
    return torch.tensor(flat, dtype=torch.float64).reshape(rows, columns)


def cheapest(probs: list[float], cost: list[list[float]]) -> set[int]:
    """Every decision whose expected cost is the least, within rounding."""
    expected = [sum(p * row[j] for p, row in zip(probs, cost, strict=True)) for j in range(len(cost[0]))]
    return {j for j, value in enumerate(expected) if value <= min(expected) + 1e-12}


@settings(deadline=None, derandomize=True, max_examples=30)
@given(data=st.data(), actions=st.integers(2, 4))
def test_categorical_cost(data: st.DataObject, actions: int):
    logits = table(data.draw, 3, 3)
    cost = table(data.draw, 3, actions, st.floats(0, 10, width=16, allow_subnormal=False))
    found = Categorical(3).predict(logits, cost=cost)
    probs = torch.softmax(logits, 1).tolist()
    for row, decision in enumerate(found.tolist()):
        assert decision in cheapest(probs[row], cost.tolist())


@settings(deadline=None, derandomize=True, max_examples=30)
@given(data=st.data())
def test_multilabel_cost(data: st.DataObject):
    logits = table(data.draw, 4, 3)
    each = [table(data.draw, 2, 2, st.floats(0, 10, width=16, allow_subnormal=False)) for _ in range(3)]
    likelihood = MultiLabel(3)
    found = likelihood.predict(logits, cost=torch.stack(each))
    shared = likelihood.predict(logits, cost=each[0])
    p = torch.sigmoid(logits)
    for i, j in itertools.product(range(4), range(3)):
        probs = [1 - float(p[i, j]), float(p[i, j])]
        assert int(found[i, j]) in cheapest(probs, each[j].tolist())
        assert int(shared[i, j]) in cheapest(probs, each[0].tolist())


def test_labels_along_dimension_one():
    """A cost and a threshold for each label, with spatial dimensions behind them."""
    torch.manual_seed(0)
    likelihood, logits = MultiLabel(3), torch.randn(2, 3, 4, 5)
    cost = torch.rand(3, 2, 2)
    threshold = torch.tensor([0.1, 0.5, 0.9])
    by_cost, by_threshold = (
        likelihood.predict(logits, cost=cost),
        likelihood.predict(logits, threshold=threshold),
    )
    for label in range(3):
        one = logits[:, label]
        assert torch.equal(by_cost[:, label], Bernoulli().predict(one, cost=cost[label]))
        assert torch.equal(by_threshold[:, label], Bernoulli().predict(one, threshold=threshold[label]))


def test_categorical_mode_and_spatial_cost():
    logits = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    likelihood = Categorical(3)
    assert torch.equal(likelihood.predict(logits), logits.argmax(1))
    zero_one = 1 - torch.eye(3)
    assert torch.equal(likelihood.predict(logits, cost=zero_one), logits.argmax(1))


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 1.0])
def test_threshold_is_on_the_probability(threshold: float):
    logits = torch.tensor([-1e4, -3.0, -1.3863, 0.0, 1e-3, 2.0, 1e4, -torch.inf, torch.inf])
    found = Bernoulli().predict(logits, threshold=threshold)
    assert found.tolist() == [int(p > threshold) for p in torch.sigmoid(logits).tolist()]
    assert found.dtype == torch.int64


def test_ties_go_to_the_lowest_index():
    zero = torch.zeros(1)
    assert Bernoulli().predict(zero).item() == 0
    assert Bernoulli().predict(zero, threshold=0.5).item() == 0
    assert Bernoulli().predict(zero, cost=1 - torch.eye(2)).item() == 0
    assert Bernoulli.from_log_probs().predict(torch.tensor([0.5]).log()).item() == 0
    assert Categorical(3).predict(torch.zeros(1, 3)).item() == 0
    assert Categorical(3).predict(torch.zeros(1, 3), cost=1 - torch.eye(3)).item() == 0
    # A threshold that was taken from the probabilities themselves.
    logits = torch.randn(50, generator=torch.Generator().manual_seed(0))
    probs = Bernoulli().probs(logits)
    for p in probs:
        assert int(Bernoulli().predict(logits, threshold=p.item()).sum()) == int((probs > p).sum())


def test_mode_is_exact_where_the_sigmoid_rounds_to_one_half():
    assert Bernoulli().predict(torch.tensor([1e-12, -1e-12])).tolist() == [1, 0]


def test_a_cost_matrix_moves_the_threshold():
    """Missing a yes costs nine times a false alarm: the threshold is 0.1."""
    cost = torch.tensor([[0.0, 1.0], [9.0, 0.0]])
    logits = torch.logit(torch.tensor([0.05, 0.09, 0.11, 0.5]))
    assert Bernoulli().predict(logits, cost=cost).tolist() == [0, 0, 1, 1]


def test_two_logits_decide_as_one():
    torch.manual_seed(0)
    z = torch.randn(20)
    two = torch.stack([torch.zeros(20), z], 1)
    assert torch.equal(Bernoulli().predict(z), Categorical(2).predict(two))
    cost = torch.tensor([[0.0, 1.0], [3.0, 0.5]])
    assert torch.equal(Bernoulli().predict(z, cost=cost), Categorical(2).predict(two, cost=cost))


def test_masked_classes_are_never_predicted():
    logits = torch.tensor([[5.0, 1.0, 2.0]])
    masked = Categorical(3, logit_offset=torch.tensor([-torch.inf, 0.0, 0.0]))
    assert masked.predict(logits).item() == 2
    assert masked.probs(logits)[0, 0] == 0
    assert masked.unadjusted().predict(logits).item() == 0
    assert torch.isfinite(masked.entropy(logits)).all()


@pytest.mark.parametrize(
    ("likelihood", "shape", "options", "error", "words"),
    [
        (Bernoulli(), (2,), {"threshold": 0.5, "cost": torch.eye(2)}, OptionError, "give one"),
        (Bernoulli(), (2,), {"threshold": 1.5}, OptionError, r"threshold is 1.5; .* \[0, 1\]"),
        (Bernoulli(), (2,), {"threshold": torch.tensor([0.5, 0.5])}, ShapeError, "expected one number"),
        (MultiLabel(3), (2, 3), {"threshold": torch.tensor([0.5])}, ShapeError, r"one for each label: \[3\]"),
        (MultiLabel(3), (2, 3), {"cost": torch.eye(3)}, ShapeError, r"expected \[2, 2\] or \[3, 2, 2\]"),
        (Categorical(3), (2, 3), {"cost": torch.eye(2)}, ShapeError, r"expected \[3, any\]"),
        (Categorical(3), (2, 3), {"cost": torch.full((3, 3), torch.inf)}, OptionError, "finite costs"),
        (Categorical(3), (2, 3), {"threshold": 0.5}, OptionError, "cost="),
        (Gaussian(), (2,), {"threshold": 0.5}, OptionError, "predicts its mean"),
        (Gaussian(), (2,), {"cost": torch.eye(2)}, OptionError, "predicts its mean"),
    ],
)
def test_refusals(likelihood, shape, options, error, words):
    with pytest.raises(error, match=words):
        likelihood.predict(torch.zeros(shape), **options)


def test_gaussian_predicts_the_mean():
    logits = torch.tensor([[1.0, -3.0], [2.0, 5.0]])
    assert Gaussian().predict(logits).tolist() == logits.tolist()
    assert Gaussian("predicted").predict(logits).tolist() == [1.0, 2.0]
