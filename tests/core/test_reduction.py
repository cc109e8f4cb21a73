"""One reduction that knows (sum, count)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from likelihead.core.reduction import check_reduction, reduce
from likelihead.errors import DTypeError, OptionError, ShapeError


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


@pytest.mark.parametrize("nothing", [0, -0.0, torch.tensor(0), torch.tensor(0.0), torch.tensor(0.0).double()])
@pytest.mark.parametrize("value", [2.0, -3.0, math.inf, math.nan])
def test_an_empty_count_is_zero_whatever_the_values(nothing: float | torch.Tensor, value: float) -> None:
    for given in ({"count": nothing}, {"normalizer": nothing}):
        values = torch.tensor([1.0, value], requires_grad=True)
        zero = reduce(values * 1, "mean", empty="zero", **given)  # type: ignore[arg-type]
        assert zero.dtype is torch.float32
        assert zero.item() == 0
        zero.backward()
        assert values.grad is not None
        assert values.grad.tolist() == [0, 0]


def test_no_value_is_lost_where_something_counts() -> None:
    values = torch.tensor([1.0, 4.0])
    for count in (2, torch.tensor(2), torch.tensor(2.0).double()):
        assert reduce(values, "mean", count=count, empty="zero").item() == 2.5
        assert reduce(values, "mean", normalizer=count, empty="zero").item() == 2.5
    assert reduce(values, "mean", normalizer=1e-30, empty="zero").item() == pytest.approx(5e30)
    assert reduce(values, "mean", normalizer=0).item() == math.inf  # torch's own division


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_values_dtype_is_the_result_s(dtype: torch.dtype) -> None:
    values = torch.ones(3, dtype=dtype)
    numbers = (
        torch.tensor(3.0).double(),
        torch.tensor(3),
        torch.tensor(3.0).half(),
        np.float64(3),
        np.int64(3),
    )
    for normalizer in (*numbers, np.float32(3), 3, 3.0):
        for empty in ("nan", "zero"):
            mean = reduce(values, "mean", normalizer=normalizer, empty=empty)  # type: ignore[arg-type]
            assert mean.dtype is dtype
            assert mean.item() == 1


@pytest.mark.parametrize(
    "normalizer",
    ["3", 3j, True, [3], (3,), {}, object(), None.__class__, torch.tensor(True), torch.tensor(3j)],
)
def test_a_normalizer_that_is_no_number(normalizer: object) -> None:
    with pytest.raises(DTypeError, match="normalizer is"):
        check_reduction("mean", normalizer)  # type: ignore[arg-type]


@pytest.mark.parametrize("reduction", [None, 3, ["mean"], torch.tensor(1), np.ones(2), b"mean"])
def test_a_reduction_that_is_no_word(reduction: object) -> None:
    with pytest.raises(OptionError, match="reduction is"):
        check_reduction(reduction)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1,), (2,)])
def test_a_normalizer_is_one_number(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"normalizer has shape .*normalizer\.sum\(\)"):
        check_reduction("mean", torch.ones(shape))


@pytest.mark.parametrize(("reduction", "normalizer"), [("avg", None), ("sum", 3), ("none", 3)])
def test_wrong_options(reduction: str, normalizer: int | None) -> None:
    with pytest.raises(OptionError, match=reduction):
        check_reduction(reduction, normalizer)
