"""The network: the widths asked for, and a first output that is the head's bias."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from likelihead.errors import OptionError
from likelihead.likelihoods import Categorical
from likelihead.train.table.models import ACTIVATIONS, MLP


def test_the_textbooks_network() -> None:
    model = MLP(4, [7], nn.Linear(7, 3), activation="tanh")
    assert model.widths == [4, 7, 3]
    assert sum(p.numel() for p in model.parameters()) == (4 + 1) * 7 + (7 + 1) * 3


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("hidden", [[], [5], [6, 2, 4]])
def test_the_first_loss_is_the_baseline(activation: str, hidden: list[int]) -> None:
    targets = torch.tensor([0, 0, 0, 1, 2, 2])
    likelihood = Categorical(3)
    head = likelihood.init_bias_(likelihood.head(hidden[-1] if hidden else 4), targets)
    model = MLP(4, hidden, head, activation=activation)
    loss = likelihood(model(torch.randn(6, 4)), targets)
    torch.testing.assert_close(loss, likelihood.baseline_nll(targets).float())


def test_every_layer_learns_within_two_steps() -> None:
    torch.manual_seed(1)
    model = MLP(4, [5, 5], nn.Linear(5, 3))
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        Categorical(3)(model(torch.randn(8, 4)), torch.arange(8) % 3).backward()
        optimizer.step()
    assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_an_unknown_activation() -> None:
    with pytest.raises(OptionError, match="tanh"):
        MLP(4, [], nn.Linear(4, 3), activation="swoosh")
