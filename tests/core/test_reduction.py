"""One reduction that knows (sum, count)."""

from __future__ import annotations

import math

import pytest
import torch

from likelihead.core.reduction import check_reduction, reduce
from likelihead.errors import OptionError, ShapeError


def test_the_mean_of_ten_million_keeps_float32_accuracy() -> None:
    values = torch.rand(10_000_000, generator=torch.Generator().manual_seed(0)) + 0.5
    exact = values.double().mean().item()
    assert abs(reduce(values, "mean").item() / exact - 1) < 2 * torch.finfo(torch.float32).eps


def test_a_normalizer_makes_micro_batches_agree() -> None:
    values = torch.rand(12, dtype=torch.float64)
    parts = [reduce(part, "mean", normalizer=12) for part in values.split([5, 4, 3])]
    torch.testing.assert_close(sum(parts), reduce(values, "mean"))
    torch.testing.assert_close(reduce(values, "mean", normalizer=torch.tensor(12.0).double()), values.mean())


def test_an_empty_count_is_nan_or_zero_and_connected() -> None:
    values = torch.zeros(3, requires_grad=True)
    assert math.isnan(reduce(values * 0, "mean", count=torch.tensor(0)).item())
    assert math.isnan(reduce(values[:0], "mean").item())
    for count in (0, torch.tensor(0), torch.tensor(0.0)):
        zero = reduce(values * 2, "mean", count=count, empty="zero")
        zero.backward()
        assert zero.item() == 0


@pytest.mark.parametrize("nothing", [0, 0.0, torch.tensor(0)])
def test_a_normalizer_of_zero_is_an_empty_count(nothing: float | torch.Tensor) -> None:
    values = torch.zeros(3, requires_grad=True)
    assert math.isnan(reduce(values * 1, "mean", normalizer=nothing).item())
    zero = reduce(values * 2, "mean", normalizer=nothing, empty="zero")
    zero.backward()
    assert zero.item() == 0


@pytest.mark.parametrize("shape", [(1,), (2,)])
def test_a_normalizer_is_one_number(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"normalizer has shape .*normalizer\.sum\(\)"):
        check_reduction("mean", torch.ones(shape))


@pytest.mark.parametrize(("reduction", "normalizer"), [("avg", None), ("sum", 3), ("none", 3)])
def test_wrong_options(reduction: str, normalizer: int | None) -> None:
    with pytest.raises(OptionError, match=reduction):
        check_reduction(reduction, normalizer)
