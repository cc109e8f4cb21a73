"""Prior correction: Bayes' rule, and the estimate of an unknown prior."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from likelihead.errors import DomainError, OptionError, ShapeError
from likelihead.evaluate import adjust_prior, estimate_prior


def test_it_is_bayes_rule() -> None:
    train, deploy = torch.tensor([0.7, 0.2, 0.1]).double(), torch.tensor([0.1, 0.1, 0.8]).double()
    logits = torch.randn(6, 3, 2, dtype=torch.float64)
    p = torch.softmax(logits, 1)
    joint = p * (deploy / train).view(1, 3, 1)
    assert_close(torch.softmax(adjust_prior(logits, train, deploy), 1), joint / joint.sum(1, keepdim=True))
    z = torch.randn(5, dtype=torch.float64)
    odds = torch.exp(z) * (0.3 / 0.7) / (0.9 / 0.1)
    assert_close(torch.sigmoid(adjust_prior(z, 0.9, 0.3)), odds / (1 + odds))


def test_one_logit_and_two_say_the_same() -> None:
    z = torch.randn(7, dtype=torch.float64)
    two = adjust_prior(torch.stack([torch.zeros_like(z), z], 1), [0.6, 0.4], [0.9, 0.1])
    assert_close(two[:, 1] - two[:, 0], adjust_prior(z, 0.4, 0.1))
    labels = torch.stack([z, -z], 1)
    both = adjust_prior(labels, [0.4, 0.7], [0.1, 0.2], independent=True)
    assert_close(both[:, 0], adjust_prior(z, 0.4, 0.1))
    assert_close(both[:, 1], adjust_prior(-z, 0.7, 0.2))


def test_the_same_prior_changes_nothing_and_a_lost_class_goes() -> None:
    logits = torch.randn(4, 3)
    assert torch.equal(adjust_prior(logits, [0.5, 0.5, 0.0], [0.5, 0.5, 0.0]), logits)
    gone = torch.softmax(adjust_prior(logits, [0.4, 0.3, 0.3], [0.5, 0.5, 0.0]), 1)
    assert gone[:, 2].tolist() == [0.0] * 4
    assert adjust_prior(logits.half(), [0.4, 0.3, 0.3], [0.3, 0.3, 0.4]).dtype == torch.float32


def shifted(n: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    """A calibrated model of a world with prior (0.5, 0.3, 0.2), on data of another."""
    generator = torch.Generator().manual_seed(0)
    train, deploy = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.1, 0.2, 0.7]).double()
    target = torch.multinomial(deploy, n, replacement=True, generator=generator)
    centres = torch.tensor([-1.5, 0.0, 1.5], dtype=torch.float64)
    x = centres[target] + torch.randn(n, generator=generator, dtype=torch.float64)
    return train.log() - 0.5 * (x[:, None] - centres) ** 2, target


def test_the_estimate_is_the_maximum_of_the_likelihood() -> None:
    logits, target = shifted()
    train = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    got = estimate_prior(logits, train)
    assert got.sum().item() == pytest.approx(1.0, rel=1e-9, abs=1e-12)
    ratio = torch.softmax(logits, 1) / train
    score = (ratio / (ratio @ got)[:, None]).mean(0)  # the gradient is constant on the simplex
    assert_close(score, torch.ones(3, dtype=torch.float64), rtol=1e-6, atol=1e-6)
    assert float((got - torch.tensor([0.1, 0.2, 0.7])).abs().max()) < 0.05
    adjusted = adjust_prior(logits, train, "estimate")
    assert_close(adjusted, adjust_prior(logits, train, got))
    nll = torch.nn.functional.cross_entropy
    assert nll(adjusted, target) < nll(logits, target) - 0.1


def test_the_estimates_of_one_logit_two_and_labels_agree() -> None:
    z = torch.randn(200, dtype=torch.float64) * 3
    one = estimate_prior(z, 0.3)
    two = estimate_prior(torch.stack([torch.zeros_like(z), z], 1), [0.7, 0.3])
    assert one.item() == pytest.approx(two[1].item(), abs=1e-7)
    labels = estimate_prior(torch.stack([z, z], 1), [0.3, 0.3], independent=True)
    assert_close(labels, torch.full((2,), one.item(), dtype=torch.float64), atol=1e-7, rtol=0)


def test_refusals() -> None:
    logits = torch.zeros(2, 3)
    with pytest.raises(OptionError, match=r"sums to 0.9.*independent=True"):
        adjust_prior(logits, [0.3, 0.3, 0.3], [0.3, 0.3, 0.4])
    with pytest.raises(OptionError, match="class 2 no share"):
        adjust_prior(logits, [0.5, 0.5, 0.0], [0.3, 0.3, 0.4])
    with pytest.raises(OptionError, match="one outcome no share"):
        adjust_prior(torch.zeros(3), 1.0, 0.5)
    with pytest.raises(ShapeError, match="expected"):
        adjust_prior(logits, [0.5, 0.5], [0.4, 0.6])
    with pytest.raises(ShapeError, match="the same"):
        adjust_prior(logits, [0.5, 0.5], 0.4)
    with pytest.raises(OptionError, match="'guess'"):
        adjust_prior(logits, [0.2, 0.3, 0.5], "guess")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"shares in \[0, 1\]"):
        adjust_prior(torch.zeros(3), 1.5, 0.5)
    with pytest.raises(DomainError, match="LH801"):
        estimate_prior(torch.full((2, 2), torch.nan), [0.5, 0.5])
    with pytest.raises(OptionError, match="no row"):
        estimate_prior(torch.zeros(0, 2), [0.5, 0.5])
    with pytest.raises(OptionError, match="not settled"):
        estimate_prior(torch.randn(50, 2), [0.5, 0.5], max_iterations=1)
