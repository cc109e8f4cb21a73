"""Class counts and what follows from them, against scikit-learn and the definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch.testing import assert_close

from likelihead.errors import OptionError, ShapeError, TargetError
from likelihead.likelihoods import Bernoulli, Categorical, ClassCounts, LabelCounts, MultiLabel
from oracles import imbalance as oracle

TARGETS = torch.tensor([0] * 70 + [1] * 25 + [2] * 5)


@settings(max_examples=40)
@given(
    st.lists(st.integers(-1, 4), min_size=1, max_size=60),
    st.lists(st.integers(1, 10), min_size=1, max_size=9),
)
def test_counts_add_up_however_they_are_split(values: list[int], sizes: list[int]) -> None:
    target = torch.tensor([-100 if v < 0 else v for v in values])
    whole = ClassCounts.from_targets(target, 5)
    merged = ClassCounts(5)
    start = 0
    for turn, size in enumerate(sizes * len(values)):
        part = target[start : start + size]
        start += size
        if turn % 2:
            merged.update(part)
        else:
            merged = ClassCounts.from_state((ClassCounts.from_targets(part) + merged).state())
    assert merged.counts.tolist() == whole.counts.tolist() == [values.count(c) for c in range(5)]
    assert merged.num_classes == 5


def test_prior_and_balanced_weights_are_those_of_scikit_learn() -> None:
    counts = ClassCounts.from_targets(TARGETS)
    assert counts.prior.tolist() == [0.7, 0.25, 0.05]
    expected = compute_class_weight("balanced", classes=np.arange(3), y=TARGETS.numpy())
    np.testing.assert_allclose(counts.balanced_weights().numpy(), expected, rtol=1e-12)
    assert counts.balanced_weights()[TARGETS].mean().item() == pytest.approx(1.0)
    assert counts.total == 100


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999, 1 - 1e-9])
def test_effective_number_weights(beta: float) -> None:
    numbers = [70, 25, 5, 1_000_000]
    got = ClassCounts.from_counts(numbers).effective_number_weights(beta)
    np.testing.assert_allclose(
        got.numpy(), [float(w) for w in oracle.effective_number_weights(numbers, beta)], rtol=1e-9
    )


def test_effective_number_weights_reach_from_equal_to_inverse_counts() -> None:
    counts = ClassCounts.from_counts([70, 25, 5])
    assert_close(counts.effective_number_weights(0.0), torch.ones(3, dtype=torch.float64))
    inverse = 1 / counts.counts
    near_one = counts.effective_number_weights(1 - 1e-12)
    assert_close(near_one, 3 * inverse / inverse.sum(), rtol=1e-6, atol=0)


def test_pos_weight_makes_a_yes_weigh_as_much_as_a_no() -> None:
    target = torch.tensor([0] * 9 + [1])
    weight = ClassCounts.from_targets(target).pos_weight()
    assert weight.item() == 9
    zero = torch.zeros(10, dtype=torch.float64)
    nll = Bernoulli(pos_weight=weight).nll(zero, target)
    assert nll[:9].sum().item() == pytest.approx(nll[9].item())
    labels = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, torch.nan], [0.0, 1.0]])
    counts = LabelCounts.from_targets(iter(labels.split(3)))
    assert counts.pos_weight().tolist() == [3.0, 2.0]
    assert_close(counts.prior, torch.tensor([1 / 4, 1 / 3], dtype=torch.float64))
    MultiLabel(2, pos_weight=counts.pos_weight())


def test_label_counts_of_maps_and_masks() -> None:
    maps = torch.tensor([[[1, 0], [0, 0]], [[1, 1], [1, 0]]])
    assert LabelCounts.from_targets(maps).counts.tolist() == [[1, 3], [3, 1]]
    masked = LabelCounts(2)
    masked.update(maps, mask=torch.tensor([[[True, False], [True, True]], [[True, True], [False, False]]]))
    assert masked.counts.tolist() == [[0, 3], [2, 0]]
    assert (masked + masked).counts.tolist() == [[0, 6], [4, 0]]


def test_logit_offset_trains_for_the_balanced_world() -> None:
    """With tau 1 the bias alone fits the counts when it is flat: the offset carries the prior."""
    offset = ClassCounts.from_targets(TARGETS).logit_offset()
    training = Categorical(3, logit_offset=offset)
    flat = torch.zeros(100, 3, dtype=torch.float64)
    assert training(flat, TARGETS).item() == pytest.approx(training.baseline_nll(TARGETS).item(), rel=1e-6)
    assert_close(training.unadjusted().probs(flat), torch.full_like(flat, 1 / 3))
    assert_close(ClassCounts.from_targets(TARGETS).logit_offset(0.5), 0.5 * offset)


def test_a_class_that_never_occurs() -> None:
    counts = ClassCounts.from_targets(torch.tensor([0, 0, 2]), 4)
    for derive in (counts.balanced_weights, counts.effective_number_weights, counts.logit_offset):
        with pytest.raises(OptionError, match=r"class 1 never occurs \(2 of 4 classes\).*smoothing"):
            derive()
        assert bool(torch.isfinite(derive(smoothing=0.5)).all())
    assert counts.balanced_weights(smoothing=0.5).tolist() == [0.5, 2.0, 1.0, 2.0]
    with pytest.raises(OptionError, match="class 1 never occurs"):
        ClassCounts.from_counts([3, 0]).pos_weight()
    with pytest.raises(OptionError, match="label 1 is never no"):
        LabelCounts.from_targets(torch.tensor([[0, 1], [1, 1]])).pos_weight()


def test_probability_targets_count_as_shares() -> None:
    counts = ClassCounts.from_targets(torch.tensor([[0.5, 0.5], [0.25, 0.75]]))
    assert counts.counts.tolist() == [0.75, 1.25]


def test_refusals() -> None:
    counts = ClassCounts(2)
    with pytest.raises(OptionError, match="no target was counted"):
        counts.balanced_weights()
    with pytest.raises(TargetError, match=r"class index 2.*LH203"):
        counts.update(torch.tensor([0, 2]))
    with pytest.raises(ShapeError, match=r"expected \[N, 2, ...\]"):
        counts.update(torch.full((1, 3), 1 / 3))
    with pytest.raises(OptionError, match="2 and of 3 classes"):
        counts.merge(ClassCounts(3))
    with pytest.raises(OptionError, match="beta is 1"):
        ClassCounts.from_counts([1, 1]).effective_number_weights(1.0)
    with pytest.raises(OptionError, match="belongs to two"):
        ClassCounts.from_counts([1, 1, 1]).pos_weight()
    with pytest.raises(OptionError, match="not negative"):
        ClassCounts.from_counts([1, -1])
    with pytest.raises(OptionError, match="tau is nan"):
        ClassCounts.from_counts([1, 1]).logit_offset(float("nan"))
    with pytest.raises(TargetError, match="LH207"):
        LabelCounts.from_targets(torch.tensor([[0.0, 1.5]]))
    with pytest.raises(OptionError, match="empty stream"):
        LabelCounts.from_targets(iter([]))
