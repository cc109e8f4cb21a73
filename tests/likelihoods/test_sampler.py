"""The balanced sampler: equal shares, every row in turn, the same again when resumed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.likelihoods import BalancedSampler

TARGET = torch.tensor([0] * 50 + [2] * 7 + [5] * 3 + [-100] * 4)[torch.randperm(64)]


@settings(max_examples=25)
@given(st.integers(1, 200), st.integers(0, 5), st.integers(0, 5))
def test_every_class_comes_up_equally_often(num_samples: int, seed: int, epoch: int) -> None:
    sampler = BalancedSampler(TARGET, num_samples=num_samples, seed=seed)
    rows = sampler.order(epoch)
    assert len(rows) == num_samples
    drawn = torch.bincount(TARGET[rows], minlength=6)
    assert drawn[[1, 3, 4]].tolist() == [0, 0, 0]
    share = drawn[[0, 2, 5]]
    assert int(share.max() - share.min()) <= 1
    for index in (0, 2, 5):
        times = torch.bincount(rows[TARGET[rows] == index], minlength=64)[index == TARGET]
        assert int(times.max() - times.min()) <= 1


def test_an_epoch_is_a_function_of_seed_and_number() -> None:
    first, again = BalancedSampler(TARGET, seed=3), BalancedSampler(TARGET, seed=3)
    torch.manual_seed(99)
    assert list(first) == list(again)
    again.set_epoch(1)
    assert list(first) != list(again)
    assert list(BalancedSampler(TARGET, seed=4)) != list(first)


def test_resumed_it_goes_on() -> None:
    sampler = BalancedSampler(TARGET, seed=1)
    assert len(sampler) == 60
    sampler.set_epoch(4)
    whole = list(sampler)
    sampler.set_epoch(4, start=23)
    assert list(sampler) == whole[23:]
    assert len(sampler) == 37
    sampler.set_epoch(4, start=60)
    assert list(sampler) == []


def test_a_data_loader_takes_it() -> None:
    data = TensorDataset(torch.arange(64), TARGET)
    loader = DataLoader(data, batch_size=16, sampler=BalancedSampler(TARGET))
    seen = torch.cat([target for _, target in loader])
    assert torch.bincount(seen)[[0, 2, 5]].tolist() == [20, 20, 20]


def test_many_epochs_see_every_row_of_a_frequent_class() -> None:
    sampler = BalancedSampler(TARGET)
    seen = torch.cat([sampler.order(epoch) for epoch in range(30)]).unique()
    assert len(seen) == 60


def test_refusals() -> None:
    with pytest.raises(DTypeError, match="LH202"):
        BalancedSampler(torch.tensor([0.0, 1.0]))
    with pytest.raises(ShapeError, match=r"\[1, 1\]"):
        BalancedSampler(torch.tensor([[0]]))
    with pytest.raises(OptionError, match="no row that counts"):
        BalancedSampler(torch.tensor([-100]))
    with pytest.raises(OptionError, match="num_samples is 0"):
        BalancedSampler(TARGET, num_samples=0)
    with pytest.raises(OptionError, match="start is 61"):
        BalancedSampler(TARGET).set_epoch(0, start=61)
