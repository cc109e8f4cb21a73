"""The LogSoftmax + NLLLoss way gives the same answers as logits do."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import logsigmoid
from torch.testing import assert_close

from likelihead.core.links import SOFTMAX
from likelihead.likelihoods import Bernoulli, Categorical

TARGETS = [
    torch.tensor([2, 0, -100, 1, 2]),
    torch.tensor([1, 1, 0, 0, 3]),
    torch.full((5, 4), 0.25, dtype=torch.float64),
]


def _logits(*shape: int) -> torch.Tensor:
    logits = 4 * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits[0] *= 20
    return logits


@pytest.mark.parametrize("target", TARGETS, ids=["ignored", "indices", "probabilities"])
@pytest.mark.parametrize("options", [{}, {"weight": [0.5, 2.0, 1.0, 3.0]}, {"label_smoothing": 0.1}], ids=str)
def test_categorical(target: torch.Tensor, options):
    plain, ready = Categorical(4, **options), Categorical.from_log_probs(4, **options)
    logits = _logits(5, 4).requires_grad_()
    log_probs = torch.log_softmax(logits, 1)
    assert_close(ready.nll(log_probs, target), plain.nll(logits, target))
    loss, expected = ready(log_probs, target), plain(logits, target)
    assert_close(loss, expected)
    found = torch.autograd.grad(loss, logits, retain_graph=True)
    assert_close(found, torch.autograd.grad(expected, logits, retain_graph=True))
    leaf = log_probs.detach().requires_grad_()
    (slope,) = torch.autograd.grad(ready.nll(leaf, target).sum(), leaf)
    assert_close(ready.residual(leaf.detach(), target), slope)
    assert ready.count(target) == plain.count(target)
    assert_close(ready.baseline_nll(target), plain.baseline_nll(target))


def test_categorical_describes_the_same_distribution():
    plain, ready = Categorical(4), Categorical.from_log_probs(4)
    logits, other = _logits(5, 4), _logits(5, 4).flip(0)
    log_probs = torch.log_softmax(logits, 1)
    cost = torch.rand(4, 5, generator=torch.Generator().manual_seed(1))
    assert_close(ready.probs(log_probs), plain.probs(logits))
    assert_close(ready.log_probs(log_probs), plain.log_probs(logits))
    assert torch.equal(ready.predict(log_probs), plain.predict(logits))
    assert torch.equal(ready.predict(log_probs, cost=cost), plain.predict(logits, cost=cost))
    assert_close(ready.entropy(log_probs), plain.entropy(logits))
    assert_close(ready.kl(log_probs, torch.log_softmax(other, 1)), plain.kl(logits, other))
    assert_close(ready.distribution(log_probs).probs, plain.distribution(logits).probs)


def test_categorical_with_impossible_classes():
    log_probs = torch.tensor([[0.25, 0.75, 0.0]]).log()
    ready = Categorical.from_log_probs(3)
    assert_close(ready.entropy(log_probs), Categorical.from_log_probs(2).entropy(log_probs[:, :2]))
    target = torch.tensor([[0.5, 0.5, 0.0]])
    assert torch.isfinite(ready.nll(log_probs, target)).all()
    assert ready.nll(log_probs, torch.tensor([2])).item() == torch.inf


@pytest.mark.parametrize("pos_weight", [None, 3.0])
def test_bernoulli(pos_weight):
    plain, ready = Bernoulli(pos_weight=pos_weight), Bernoulli.from_log_probs(pos_weight=pos_weight)
    logits = torch.tensor([-30.0, -2.0, 0.0, 0.5, 25.0, 3.0], dtype=torch.float64).requires_grad_()
    for target in (
        torch.tensor([0, 1, 1, 0, 1, 0]),
        torch.tensor([0.0, 1.0, 0.25, torch.nan, 1.0, 0.5]).double(),
    ):
        log_p = logsigmoid(logits)
        loss, expected = ready(log_p, target), plain(logits, target)
        assert_close(ready.nll(log_p, target), plain.nll(logits, target))
        assert_close(loss, expected)
        found = torch.autograd.grad(loss, logits, retain_graph=True)
        assert_close(found, torch.autograd.grad(expected, logits, retain_graph=True), rtol=1e-5, atol=1e-9)
        leaf = log_p.detach().requires_grad_()
        (slope,) = torch.autograd.grad(ready.nll(leaf, target).sum(), leaf)
        assert_close(ready.residual(leaf.detach(), target), slope)
    log_p, other = logsigmoid(logits.detach()), logits.detach().flip(0)
    assert_close(ready.probs(log_p), plain.probs(logits.detach()))
    assert torch.equal(ready.predict(log_p), plain.predict(logits.detach()))
    assert torch.equal(ready.predict(log_p, threshold=0.9), plain.predict(logits.detach(), threshold=0.9))
    assert_close(ready.entropy(log_p), plain.entropy(logits.detach()))
    assert_close(ready.kl(log_p, logsigmoid(other)), plain.kl(logits.detach(), other))
    assert_close(ready.distribution(log_p).probs, plain.distribution(logits.detach()).probs)


def test_bernoulli_at_the_ends():
    """A log-probability of 0: a yes is certain, and a no impossible."""
    ready = Bernoulli.from_log_probs()
    log_p = torch.tensor([0.0, -torch.inf, 0.0, -torch.inf], requires_grad=True)
    nll = ready.nll(log_p, torch.tensor([1, 0, 0, 1]))
    assert nll.tolist() == [0.0, 0.0, torch.inf, torch.inf]
    (slope,) = torch.autograd.grad(nll[:2].sum(), log_p)
    assert slope[:2].tolist() == [-1.0, 0.0]
    assert ready.entropy(log_p.detach()).tolist() == [0.0] * 4


def test_heads_are_the_same_layer():
    targets = torch.tensor([0, 1, 1, 3])
    plain, ready = Categorical.from_targets(targets), Categorical.from_log_probs(4)
    head = ready.init_bias_(ready.head(2), targets)
    torch.nn.init.zeros_(head.weight)
    logits = head(torch.zeros(4, 2))
    assert_close(ready(torch.log_softmax(logits, 1), targets), plain(logits, targets))
    assert_close(SOFTMAX.inverse(head.bias.detach()), plain.probs(logits.detach())[0])
