"""What targets alone say: classes, prior, the baseline and the head's bias."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from likelihead.likelihoods import Bernoulli, Categorical, Gaussian, MultiLabel

INDICES = torch.tensor([0, 2, 2, 1, 2, -100, 4])


def entropy(*shares: float) -> float:
    return -sum(p * math.log(p) for p in shares if p)


def test_categorical():
    likelihood = Categorical.from_targets(INDICES, label_smoothing=0.0)
    assert likelihood.num_classes == 5
    assert likelihood.baseline_nll().item() == pytest.approx(entropy(1 / 6, 1 / 6, 3 / 6, 1 / 6))
    head = likelihood.init_bias_(likelihood.head(2))
    assert bool(head.bias.isfinite().all())
    assert likelihood.probs(head.bias.detach().unsqueeze(0))[0, 3] == pytest.approx(0.5 / 6.5)
    assert_close(head.bias.detach().double(), likelihood.best_constant(), rtol=1e-6, atol=1e-6)
    assert_close(likelihood.half().baseline_nll(), Categorical(5).baseline_nll(INDICES))


def test_a_stream_is_read_once_and_says_the_same():
    """The second batch has a class that the first does not know."""
    batches = (batch for batch in INDICES.split(3))
    likelihood = Categorical.from_targets(batches)
    assert likelihood.num_classes == 5
    assert_close(likelihood.baseline_nll(), Categorical.from_targets(INDICES).baseline_nll())
    assert Categorical.from_targets(iter(INDICES.split(2)), num_classes=9).num_classes == 9
    labels = torch.tensor([[0.0, 1.0], [1.0, torch.nan], [1.0, 1.0]])
    assert_close(
        MultiLabel.from_targets(iter(labels.split(1))).baseline_nll(), MultiLabel(2).baseline_nll(labels)
    )
    numbers = 1e6 + torch.randn(100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    streamed = Gaussian("predicted").baseline_nll(iter(numbers.split(7)))
    truth = 0.5 * (math.log(2 * math.pi * float(numbers.var(correction=0))) + 1)
    assert streamed.item() == pytest.approx(truth, rel=1e-9)


def test_probabilities():
    shares = torch.tensor([[0.5, 0.5, 0.0], [0.25, 0.25, 0.5]])
    likelihood = Categorical.from_targets(shares)
    assert likelihood.num_classes == 3
    assert likelihood.baseline_nll().item() == pytest.approx(entropy(0.375, 0.375, 0.25))


def test_one_class_alone_still_makes_two():
    assert Categorical.from_targets(torch.tensor([0, 0])).num_classes == 2


def test_baseline_has_the_options_of_the_loss():
    """With class weights and smoothing it is the least that the loss itself can reach."""
    likelihood = Categorical(3, weight=[1.0, 4.0, 0.5], label_smoothing=0.2)
    target = torch.tensor([0, 1, 1, 2, 2, 2])
    bias = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    descent = torch.optim.LBFGS([bias], max_iter=100, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure():
        descent.zero_grad()
        loss = likelihood(bias.expand(6, 3), target)
        loss.backward()
        return loss

    descent.step(closure)
    assert likelihood.baseline_nll(target).item() == pytest.approx(closure().item(), rel=1e-9)


def test_nothing_to_predict():
    assert Categorical(3).baseline_nll(torch.tensor([-100])).item() == 0
    assert Bernoulli().baseline_nll(torch.tensor([torch.nan])).item() == 0
    assert MultiLabel(2).baseline_nll(torch.zeros(0, 2)).item() == 0
    assert Gaussian().baseline_nll(torch.zeros(0)).item() == 0


def test_gaussian_bias():
    targets = torch.tensor([1.0, 3.0])
    likelihood = Gaussian("predicted")
    head = likelihood.init_bias_(likelihood.head(2), targets)
    assert head.bias.tolist() == [2.0, 0.0]
    assert likelihood.init_bias_(head, torch.ones(4)).bias.tolist() == [1.0, pytest.approx(math.log(0.5 / 4))]
    assert Gaussian("predicted").baseline_nll(torch.ones(4)).item() == -torch.inf
    assert Gaussian("predicted", num_outputs=3).head(5).out_features == 6


def test_bias_under_a_cap_and_an_offset():
    targets = torch.tensor([0] * 90 + [1] * 9 + [2])
    offset = torch.tensor([0.9, 0.09, 0.01]).log()
    adjusted = Categorical(3, logit_offset=offset)
    head = adjusted.init_bias_(adjusted.head(1), targets)
    assert_close(head.bias.detach() - head.bias[0].item(), torch.zeros(3), rtol=0, atol=1e-5)
    capped = Categorical(3, softcap=10.0)
    head = capped.init_bias_(capped.head(1), targets)
    logits = head.bias.detach().expand(100, 3)
    assert_close(capped(logits, targets).double(), capped.baseline_nll(targets), rtol=1e-5, atol=1e-6)


def test_pos_weight_moves_the_baseline():
    targets = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    likelihood = MultiLabel(2, weight=[1.0, 3.0], pos_weight=[2.0, 0.5])
    head = likelihood.init_bias_(likelihood.head(1), targets)
    logits = head.bias.detach().expand(4, 2)
    assert_close(likelihood(logits, targets).double(), likelihood.baseline_nll(targets), rtol=1e-5, atol=1e-6)


def test_equals_torch_where_torch_has_it():
    """The reductions are torch's: weights, masks and all."""
    torch.manual_seed(0)
    z, y = torch.randn(6, 3), torch.tensor([0, 1, 1, 2, -100, 2])
    weight = torch.tensor([1.0, 4.0, 0.5])
    for options in ({}, {"weight": weight}, {"weight": weight, "label_smoothing": 0.2}):
        assert_close(Categorical(3, **options)(z, y), torch.nn.functional.cross_entropy(z, y, **options))
    shares = torch.softmax(torch.randn(6, 3), 1)
    assert_close(
        Categorical(3, weight=weight)(z, shares), torch.nn.functional.cross_entropy(z, shares, weight=weight)
    )
    labels = (torch.rand(6, 3) < 0.5).float()
    assert_close(
        MultiLabel(3, weight=weight, pos_weight=2 * weight)(z, labels),
        torch.nn.functional.binary_cross_entropy_with_logits(z, labels, weight, pos_weight=2 * weight),
    )
    mse = torch.nn.functional.mse_loss(z, labels)
    assert_close(2 * Gaussian()(z, labels) - math.log(2 * math.pi), mse)
    gaussian = torch.nn.functional.gaussian_nll_loss(z[:, 0], labels[:, 0], z[:, 1].exp(), full=True)
    assert_close(Gaussian("predicted")(z[:, :2], labels[:, 0]), gaussian)
    two = torch.stack([torch.zeros(6), z[:, 0]], 1)
    assert_close(Categorical(2)(two, labels[:, 0].long()), Bernoulli()(z[:, 0], labels[:, 0]))


def test_micro_batches_add_up_by_normalizer():
    torch.manual_seed(0)
    z, y = torch.randn(12, 3), torch.tensor([0, 1, 1, 2, -100, 2, -100, -100, 0, 1, 0, 2])
    likelihood = Categorical(3, weight=[1.0, 4.0, 0.5])
    total = likelihood.count(y)
    parts = [likelihood(a, b, normalizer=total) for a, b in zip(z.split(5), y.split(5), strict=True)]
    assert_close(sum(parts), likelihood(z, y))


def test_a_half_precision_module_counts_in_float32():
    likelihood = Categorical(2, weight=[1.0, 1.0]).bfloat16()
    target = torch.zeros(1001, dtype=torch.long)
    assert likelihood.count(target).item() == 1001
    assert likelihood(torch.zeros(1001, 2), target).item() == pytest.approx(math.log(2))


def test_whole_number_weights():
    likelihood, seen = Categorical(3, weight=torch.tensor([1, 2, 1])), torch.tensor([0, 1, 2])
    assert_close(likelihood.baseline_nll(seen), Categorical(3, weight=[1.0, 2.0, 1.0]).baseline_nll(seen))
    assert likelihood(torch.zeros(3, 3), seen).item() == pytest.approx(math.log(3))
