"""A likelihood can be built where tensors have no values, and is then no other than elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from likelihead.likelihoods import (
    REGISTRY,
    Bernoulli,
    Categorical,
    CumulativeLink,
    Gaussian,
    Likelihood,
    MultiLabel,
    NegativeBinomial,
    Poisson,
    Quantile,
    StudentT,
)

W = [1.0, 2.0, 0.5]
MAKE: list[Callable[[], Likelihood]] = [
    lambda: Categorical(3),
    lambda: Categorical(3, weight=W, logit_offset=[0.0, -math.inf, 1.0], label_smoothing=0.1, z_loss=0.1),
    lambda: Categorical(3, weight=torch.tensor(W)),
    Bernoulli,
    lambda: Bernoulli(pos_weight=3.0, label_smoothing=0.1, prior=0.25),
    lambda: Bernoulli(pos_weight=torch.ones(1)),
    lambda: MultiLabel(3, weight=W, pos_weight=torch.tensor(W)),
    lambda: MultiLabel(3, label_smoothing=0.1, prior=[0.1, 0.2, 0.3]),
    Gaussian,
    lambda: Gaussian(0.5, num_outputs=2),
    lambda: Gaussian("predicted"),
    Poisson,
    NegativeBinomial,
    lambda: NegativeBinomial(0.5),
    StudentT,
    lambda: StudentT(3.0, "predicted"),
    Quantile,
    lambda: Quantile(0.5, scale=2.0),
    lambda: CumulativeLink(4),
    lambda: CumulativeLink(2),
]


def test_every_likelihood_is_here() -> None:
    assert {type(make()).name for make in MAKE} == set(REGISTRY)


@pytest.mark.parametrize("place", ["meta", "fake"])
@pytest.mark.parametrize("number", range(len(MAKE)))
def test_without_values(number: int, place: str) -> None:
    make = MAKE[number]
    plain = make()
    with torch.device("meta") if place == "meta" else FakeTensorMode():
        built = make()
    assert repr(built) == repr(plain)
    assert {k: v.shape for k, v in built.state_dict().items()} == {
        k: v.shape for k, v in plain.state_dict().items()
    }


def test_what_a_trace_built_leaves_no_trace() -> None:
    """Constants that are kept between calls are real ones."""
    logits = torch.tensor([[0.5, 0.25], [1.0, -1.0]])
    with torch.device("meta"):
        likelihood = StudentT(2.5, "predicted")
        entropy, kl = likelihood.entropy(logits), likelihood.kl(logits, logits.flip(0))
    assert not entropy.is_meta
    assert not kl.is_meta
    fresh = StudentT(2.5, "predicted")
    assert torch.equal(entropy, fresh.entropy(logits))
    assert torch.equal(kl, fresh.kl(logits, logits.flip(0)))
