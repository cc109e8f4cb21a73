"""No network looks ahead, states go on, and the first loss is the baseline."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from likelihead.errors import OptionError
from likelihead.train import TrainConfig
from likelihead.train.language.models import GRU, LanguageModel, Transformer
from likelihead.train.language.problem import begin

V = 11


def network(kind: str) -> LanguageModel:
    torch.manual_seed(1)
    head = nn.Linear(8, V)
    made: LanguageModel = GRU(V, (6, 8), head) if kind == "gru" else Transformer(V, (8, 8), head)
    nn.init.normal_(made.head.weight)
    return made.double()


TOKENS = torch.tensor([[1, 5, 2, 9, 0, 3, 3, 7]])


@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_no_look_ahead(kind: str) -> None:
    model = network(kind)
    other = TOKENS.clone()
    other[0, 5] = 8
    first, second = model(TOKENS)[0], model(other)[0]
    torch.testing.assert_close(first[:, :5], second[:, :5], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(first[:, 5:], second[:, 5:])


def test_a_carried_state_is_as_if_the_text_were_whole() -> None:
    model = network("gru")
    whole, _ = model(TOKENS)
    first, state = model(TOKENS[:, :3])
    second, _ = model(TOKENS[:, 3:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=1e-12, atol=1e-12)


def test_a_transformer_sees_order_and_distance_but_not_the_place() -> None:
    model = network("transformer")
    swapped = TOKENS[:, [1, 0, *range(2, 8)]]
    assert not torch.allclose(model(TOKENS)[0][:, -1], model(swapped)[0][:, -1])
    again = model(TOKENS[:, :4])[0]
    torch.testing.assert_close(again, model(TOKENS)[0][:, :4], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("widths", [(8, 16), (7,)])
def test_widths_that_a_transformer_cannot_have(widths: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match="one even width"):
        Transformer(V, widths, nn.Linear(widths[-1], V))


@pytest.mark.parametrize("kind", ["gru", "transformer"])
@pytest.mark.parametrize("packing", ["packed", "padded"])
def test_the_first_loss_is_that_of_the_frequencies(
    make: Callable[..., TrainConfig], kind: str, packing: str
) -> None:
    torch.manual_seed(0)
    problem = begin(make(network=kind, packing=packing))
    sums: dict[str, float] = {}
    for batch in problem.batches(0, 0):
        problem.loss(batch, sums)
    counts = np.bincount(problem.corpus.train.ids, minlength=257)
    # Tokens that were never seen count as half an example.
    share = np.maximum(counts, 0.5) / np.maximum(counts, 0.5).sum()
    entropy = -float((counts * np.log(share)).sum() / counts.sum())
    assert problem.train_nll(sums) == pytest.approx(entropy, rel=1e-6)
    assert problem.measure({}).test_nll == pytest.approx(problem.resolved.baseline_nll, rel=1e-6)
    assert problem.resolved.baseline_nll < math.log(257)


def test_the_defaults_of_the_networks() -> None:
    gru = TrainConfig(data="stdlib", task="language")
    transformer = TrainConfig(data="stdlib", task="language", network="transformer")
    assert len(gru.hidden) == 1
    assert len(set(transformer.hidden)) == 1
    assert len(transformer.hidden) == 4
    assert TrainConfig(data="stdlib", network="transformer", hidden=(8,)).hidden == (8,)
