"""Every token is a target once in a pass; streams go on; padding counts for nothing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from likelihead.functional import language_model_loss
from likelihead.train.language.batches import IGNORED, Batch, Packed, Padded, padded
from likelihead.train.language.corpus import Text
from likelihead.train.language.models import GRU, LanguageModel, Transformer

SEPARATOR = 256
# No id twice, so that a target says which token it is.
SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=5)


def text(sizes: list[int]) -> Text:
    parts, at = [], 0
    for size in sizes:
        parts += [[SEPARATOR], list(range(at, at + size))]
        at += size
    ids = np.array([i for part in parts for i in part], dtype=np.uint16)
    starts = np.cumsum([0, *(size + 1 for size in sizes)])
    return Text(ids, starts, tuple(f"d{i}" for i in range(len(sizes))), at)


def pairs(batch: Batch) -> list[tuple[int, int]]:
    """Each input with its target, where there is one."""
    both = zip(batch.inputs.flatten().tolist(), batch.targets.flatten().tolist(), strict=True)
    return [(i, t) for i, t in both if t != IGNORED]


def expected(sizes: list[int]) -> list[tuple[int, int]]:
    found, at = [], 0
    for size in sizes:
        ids = [SEPARATOR, *range(at, at + size), SEPARATOR]
        found += list(pairwise(ids))
        at += size
    return sorted(found)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(1, 6), st.integers(1, 7), st.integers(0, 3), st.sampled_from([Packed, Padded]))
def test_every_token_follows_its_own_once_in_a_pass(
    sizes: list[int], rows: int, context: int, seed: int, make: type[Packed] | type[Padded]
) -> None:
    batches = make(text(sizes), rows, context, seed)
    for number in range(2):
        steps = [batches.batch(number * batches.per_pass + i) for i in range(batches.per_pass)]
        assert sorted(pair for step in steps for pair in pairs(step)) == expected(sizes)
        assert all(step.inputs.shape[0] <= rows and step.inputs.shape[1] <= context for step in steps)
        assert not steps[0].goes_on


@settings(max_examples=30, deadline=None)
@given(SIZES, st.integers(1, 4), st.integers(1, 5))
def test_packed_rows_go_on_where_they_ended(sizes: list[int], rows: int, context: int) -> None:
    batches = Packed(text(sizes), rows, context, 0)
    before = batches.batch(0)
    for step in range(1, batches.per_pass):
        now = batches.batch(step)
        assert now.goes_on
        ended, begun = before.targets[:, -1], now.inputs[:, 0]
        assert bool(((ended == begun) | (ended == IGNORED)).all())
        before = now


def test_a_batch_is_a_function_of_its_step() -> None:
    for make in (Packed, Padded):
        one, other = make(text([9, 5, 7, 2]), 3, 4, 0), make(text([9, 5, 7, 2]), 3, 4, 0)
        steps = range(2 * one.per_pass)
        ahead = [one.batch(i) for i in steps]
        back = {i: other.batch(i) for i in reversed(steps)}
        assert all(torch.equal(ahead[i].inputs, back[i].inputs) for i in steps)


def test_the_order_changes_from_pass_to_pass_and_with_the_seed() -> None:
    for make in (Packed, Padded):
        one = make(text([3] * 12), 2, 4, 0)
        first, second = one.batch(0).inputs, one.batch(one.per_pass).inputs
        assert not torch.equal(first, second)
        assert not torch.equal(first, make(text([3] * 12), 2, 4, 1).batch(0).inputs)


def model(kind: str) -> LanguageModel:
    torch.manual_seed(0)
    head = nn.Linear(8, 257)
    made = GRU(257, (8,), head) if kind == "gru" else Transformer(257, (8, 8), head)
    nn.init.normal_(made.head.weight)
    return made.double()


@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_doubling_the_padding_changes_nothing(kind: str) -> None:
    rows = [np.arange(4), np.arange(10, 21), np.arange(5, 12)]
    losses, gradients = [], []
    for width in (10, 20, 40):
        net = model(kind)
        batch = padded(rows, SEPARATOR, width)
        loss = language_model_loss(net(batch.inputs)[0], batch.targets, shift=False)
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]))
    for loss, gradient in zip(losses[1:], gradients[1:], strict=True):
        assert loss == pytest.approx(losses[0], rel=1e-12)
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-11, atol=1e-14)


def test_padding_that_is_scored_would_show() -> None:
    rows = [np.arange(4), np.arange(10, 21)]
    narrow, wide = padded(rows, SEPARATOR, 10), padded(rows, SEPARATOR, 20)
    net = model("gru")
    scored = [
        language_model_loss(
            net(b.inputs)[0], b.targets.where(b.targets != IGNORED, torch.tensor(SEPARATOR)), shift=False
        ).item()
        for b in (narrow, wide)
    ]
    assert abs(scored[0] - scored[1]) > 1e-3
