"""Smoothing is for outcomes that were never seen: one that was is not touched, however small its weight."""

from __future__ import annotations

import pytest
import torch

from likelihead.likelihoods import Bernoulli, Categorical, CumulativeLink
from likelihead.likelihoods.imbalance import ClassCounts


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-12])
def test_small_weights_leave_the_frequencies(scale: float) -> None:
    targets = torch.tensor([0, 0, 0, 1, 2, 2])
    weight = scale * torch.tensor([1.0, 1, 2, 3, 1, 2], dtype=torch.float64)
    share = torch.tensor([0.4, 0.3, 0.3], dtype=torch.float64)
    bias = Categorical(3).best_constant(targets, sample_weight=weight)
    torch.testing.assert_close(torch.softmax(bias, 0), share)
    yes = Bernoulli().best_constant((targets == 0).double(), sample_weight=weight)
    torch.testing.assert_close(torch.sigmoid(yes), share[:1])
    ranks = CumulativeLink(3).double()
    head = ranks.head(2).double()
    ranks.init_bias_(head, targets, sample_weight=weight)
    torch.testing.assert_close(ranks.probs(torch.zeros(1, dtype=torch.float64))[0].detach(), share)
    counts = ClassCounts.from_counts(scale * torch.tensor([4.0, 3, 3], dtype=torch.float64))
    torch.testing.assert_close(counts.logit_offset(smoothing=0.5), torch.log(share))


def test_a_class_that_soft_targets_give_little_is_seen() -> None:
    targets = torch.tensor([[0.99, 0.01], [0.97, 0.03]], dtype=torch.float64)
    bias = Categorical(2).best_constant(targets)
    torch.testing.assert_close(torch.softmax(bias, 0), torch.tensor([0.98, 0.02], dtype=torch.float64))


def test_a_class_that_was_never_seen_counts_as_half_an_example() -> None:
    bias = Categorical(3).best_constant(torch.tensor([0, 0, 0, 1]))
    torch.testing.assert_close(torch.softmax(bias, 0), torch.tensor([3, 1, 0.5], dtype=torch.float64) / 4.5)
