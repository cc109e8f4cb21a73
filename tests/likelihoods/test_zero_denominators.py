"""The mean over a count, or a normalizer, of zero is 0 with gradient 0, whatever the sum is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from likelihead.likelihoods import Bernoulli, Categorical, Gaussian, Likelihood, MultiLabel
from likelihead.likelihoods.focal import binary_focal_loss, focal_loss

FIRST = torch.zeros(6, dtype=torch.long)
YES = torch.ones(6, 3)

LOSSES: dict[str, tuple[Callable[[], Likelihood], tuple[int, ...], Tensor]] = {
    "categorical": (lambda: Categorical(3), (6, 3), FIRST),
    "categorical, probabilities": (lambda: Categorical(3), (6, 3), torch.full((6, 3), 1 / 3)),
    "categorical, every option": (
        lambda: Categorical(3, weight=[1.0, 2.0, 3.0], label_smoothing=0.2, z_loss=0.1, softcap=5.0),
        (6, 3),
        FIRST,
    ),
    "bernoulli": (Bernoulli, (6,), YES[:, 0]),
    "multilabel": (lambda: MultiLabel(3, pos_weight=[1.0, 2.0, 3.0], weight=[1.0, 0.5, 2.0]), (6, 3), YES),
    "gaussian": (lambda: Gaussian(4.0), (6,), YES[:, 0]),
    "gaussian, predicted": (lambda: Gaussian("predicted"), (6, 2), YES[:, 0]),
}
NOTHING = [0, 0.0, torch.tensor(0), torch.tensor(0.0), torch.tensor(0.0).double()]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("nothing", NOTHING)
def test_a_normalizer_of_zero(name: str, nothing: float | Tensor) -> None:
    make, shape, target = LOSSES[name]
    logits = torch.randn(shape, requires_grad=True)
    loss = make()(logits, target, normalizer=nothing)
    assert make()(logits, target).item() != 0  # something counts
    assert loss.dtype is torch.float32
    assert loss.item() == 0
    loss.backward()
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize(
    "option", [{"label_smoothing": 0.1}, {"z_loss": 0.1}, {"label_smoothing": 0.1, "z_loss": 0.1}]
)
@pytest.mark.parametrize("far", [1.0, float("inf")])
def test_class_weights_that_leave_nothing(option: dict[str, float], far: float) -> None:
    logits = torch.randn(6, 3)
    logits[:, 1] = -far  # a class that is impossible, where the smoothing makes the sum infinite
    logits.requires_grad_()
    likelihood = Categorical(3, weight=[0.0, 1.0, 1.0], **option)
    assert likelihood.nll(logits, FIRST).sum().item() != 0
    loss = likelihood(logits, FIRST)
    assert loss.item() == 0
    loss.backward()
    assert logits.grad is not None
    assert not logits.grad.nan_to_num().any()
    assert likelihood.baseline_nll(FIRST).item() == 0


def test_nothing_counts_at_all() -> None:
    logits = torch.randn(6, 3, requires_grad=True)
    assert Categorical(3, ignore_index=0, label_smoothing=0.1, z_loss=0.1)(logits, FIRST).item() == 0
    assert MultiLabel(3)(logits, torch.full((6, 3), torch.nan)).item() == 0
    assert MultiLabel(3)(logits, YES, mask=torch.zeros(6, 3, dtype=torch.bool)).item() == 0
    assert Categorical(3)(logits[:0], FIRST[:0]).item() == 0
    assert focal_loss(logits, FIRST, weight=torch.tensor([0.0, 1.0, 1.0])).item() == 0
    for nothing in NOTHING:
        assert focal_loss(logits, FIRST, normalizer=nothing).item() == 0
        assert focal_loss(logits, FIRST, 0.0, normalizer=nothing).item() == 0
        assert binary_focal_loss(logits, YES, normalizer=nothing).item() == 0


@pytest.mark.parametrize("name", LOSSES)
def test_a_float64_normalizer_does_not_widen_the_loss(name: str) -> None:
    make, shape, target = LOSSES[name]
    logits = torch.randn(shape)
    loss = make()(logits, target, normalizer=torch.tensor(6.0, dtype=torch.float64))
    assert loss.dtype is torch.float32
    torch.testing.assert_close(loss, make()(logits, target, normalizer=6))
