"""What rounding does to a prior and to a calibrator's numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from likelihead.errors import OptionError
from likelihead.evaluate import PlattScaling, TemperatureScaling, VectorScaling, adjust_prior
from likelihead.evaluate.calibrator import Calibrator
from likelihead.guard.values import soft_target


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("classes", [2, 3, 10, 1000, 100_000])
@pytest.mark.parametrize("even", [True, False])
def test_a_prior_of_any_dtype_and_length_is_taken(dtype: torch.dtype, classes: int, even: bool) -> None:
    generator = torch.Generator().manual_seed(classes)
    exact = torch.ones(classes) if even else torch.rand(classes, generator=generator) + 0.1
    exact = exact.double() / exact.double().sum()
    rounded = exact.to(dtype)
    logits = torch.randn(2, classes, generator=generator, dtype=torch.float64)
    got = adjust_prior(logits, rounded, rounded.flip(0))
    share = rounded.double() / rounded.double().sum()
    torch.testing.assert_close(got, logits + share.flip(0).log() - share.log())


def test_shares_written_with_three_decimals_are_taken_and_made_to_sum_to_one() -> None:
    logits = torch.zeros(1, 3, dtype=torch.float64)
    got = adjust_prior(logits, [0.333, 0.333, 0.333], [0.667, 0.167, 0.167])
    expected = (
        torch.tensor([[0.667, 0.167, 0.167]], dtype=torch.float64).div(1.001).log()
        - torch.tensor(1 / 3).double().log()
    )
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize(
    "prior", [[0.5, 0.4], [0.33, 0.33, 0.33], [0.5, 0.502], [1.0, 0.5], torch.tensor([0.5, 0.49])]
)
def test_a_prior_that_is_no_distribution_is_refused(prior: list[float] | Tensor) -> None:
    with pytest.raises(OptionError, match="train_prior sums to"):
        adjust_prior(torch.zeros(1, len(prior)), prior, prior)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("classes", [2, 1000, 100_000])
def test_soft_targets_that_were_rounded_are_no_hazard(dtype: torch.dtype, classes: int) -> None:
    logits = torch.randn(3, classes, generator=torch.Generator().manual_seed(0))
    assert soft_target(torch.softmax(logits, 1).to(dtype)) is None
    assert soft_target(torch.full((3, classes), 1 / classes).to(dtype)) is None
    found = soft_target(torch.softmax(logits, 1).to(dtype) * 0.9)
    assert found is not None
    assert found.code == "LH205"


CALIBRATORS = [lambda: TemperatureScaling(1 / 3), lambda: VectorScaling(3), lambda: PlattScaling(3)]


def numbers(calibrator: nn.Module) -> list[Tensor]:
    return [buffer.clone() for buffer in calibrator.buffers()]


@pytest.mark.parametrize("make", CALIBRATORS)
@pytest.mark.parametrize(
    "cast",
    [
        lambda m: m.half(),
        lambda m: m.float(),
        lambda m: m.bfloat16(),
        lambda m: m.to(torch.float16),
        lambda m: m.to("cpu", torch.float32),
        lambda m: m.to(torch.ones(1)),
        lambda m: m.type(torch.float32),
        lambda m: m.half().double(),
    ],
)
def test_a_calibrator_keeps_its_float64_numbers(make, cast) -> None:  # type: ignore[no-untyped-def]
    calibrator: Calibrator = make()
    with torch.no_grad():
        for buffer in calibrator.buffers():
            buffer += torch.rand(buffer.shape, dtype=torch.float64) / 3
    before = numbers(calibrator)
    logits = torch.randn(4, 3, dtype=torch.float64)
    expected = calibrator(logits)
    model = nn.Sequential(nn.Linear(2, 3), calibrator)
    assert cast(model) is model
    assert all(buffer.dtype is torch.float64 for buffer in calibrator.buffers())
    assert all(torch.equal(a, b) for a, b in zip(before, numbers(calibrator), strict=True))
    assert torch.equal(calibrator(logits), expected)
    assert calibrator.half() is calibrator


def test_a_calibrator_moves() -> None:
    calibrator = VectorScaling(3).to("meta")
    assert {(b.device.type, b.dtype) for b in calibrator.buffers()} == {("meta", torch.float64)}
    back = calibrator.to_empty(device="cpu")
    back.load_state_dict(VectorScaling(3).state_dict())
    assert {(b.device.type, b.dtype) for b in back.buffers()} == {("cpu", torch.float64)}
    # The model around it is cast as always.
    assert nn.Sequential(nn.Linear(2, 3), back).half()[0].weight.dtype is torch.float16
