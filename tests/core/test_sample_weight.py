"""Weights of the examples: what is taken, what is refused, and what they do to a value and a count."""

from __future__ import annotations

import math

import pytest
import torch

from likelihead.core.sample_weight import (
    check_sample_weight,
    check_sample_weight_values,
    expand_sample_weight,
    weigh,
    weighted_count,
    without_left_out,
)
from likelihead.errors import DTypeError, LikelihoodError, OptionError, ShapeError
from likelihead.guard.switch import guard


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ((4,), (4,)),
        ((4,), (4, 3)),
        ((4, 3), (4, 3)),
        ((4,), (4, 3, 2)),
        ((4, 3), (4, 3, 2)),
        ((), ()),
        ((0,), (0, 3)),
    ],
)
def test_a_prefix_is_taken(shape: tuple[int, ...], values: tuple[int, ...]) -> None:
    weight = torch.ones(shape)
    assert check_sample_weight(weight, values) is weight
    assert check_sample_weight(None, values) is None


@pytest.mark.parametrize(
    ("shape", "values", "words"),
    [
        (
            (3,),
            (4, 3),
            r"shape \[3\] and the values \[4, 3\]; expected \[4\] or \[4, 3\]. .* last dimension.* weight=",
        ),
        ((4, 1), (4,), r"reshape\(\[4\]\)"),
        ((4, 1), (4, 3), r"reshape\(\[4\]\)"),
        ((1, 4), (4, 3), r"reshape\(\[4\]\)"),
        ((1,), (4,), "one number for each example"),
        ((), (4,), "multiply the loss"),
        ((5,), (4,), "one number for each example"),
        ((4, 3, 1), (4, 3), r"reshape\(\[4, 3\]\)"),
        ((1,), (), "expected \\[\\]"),
    ],
)
@pytest.mark.parametrize("level", ["off", "full"])
def test_other_shapes_are_refused(shape, values, words: str, level: str) -> None:
    with guard(level), pytest.raises(ShapeError, match=rf"(?s){words}.*LH603"):
        check_sample_weight(torch.ones(shape), values)


@pytest.mark.parametrize("value", [[1.0, 2.0], 2.0, torch.ones(2, dtype=torch.complex64)])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(DTypeError, match="sample_weight is"):
        check_sample_weight(value, (2,))


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf, -math.inf])
def test_values_that_are_no_weights(bad: float) -> None:
    weight = torch.ones(2, 3)
    check_sample_weight_values(weight)
    weight[1, 2] = bad
    with pytest.raises(OptionError, match=rf"sample_weight\[1, 2\] is {bad}; .* leaves the example out"):
        check_sample_weight_values(weight)
    for fine in (None, torch.zeros(0), torch.tensor([True, False]), torch.tensor([0, 3])):
        check_sample_weight_values(fine)
    with pytest.raises(LikelihoodError, match="-3"):
        check_sample_weight_values(torch.tensor([1, -3]))


def test_the_weights_line_up_with_the_first_dimension() -> None:
    values = torch.arange(9.0).reshape(3, 3)
    weight = torch.tensor([1, 2, 0], dtype=torch.uint8)
    assert weigh(values, weight).tolist() == [[0, 1, 2], [6, 8, 10], [0, 0, 0]]
    assert weigh(values, None) is values
    assert expand_sample_weight(torch.tensor([True, False, True]), values).dtype == torch.float32


def test_a_weight_of_0_stops_what_is_not_finite() -> None:
    logits = torch.tensor([1.0, math.nan, -math.inf, 2.0], requires_grad=True)
    weight = torch.tensor([1.0, 0.0, 0.0, 0.0], requires_grad=True)
    total = weigh(without_left_out(logits, weight).square(), weight).sum()
    total.backward()
    assert total.item() == 1
    assert logits.grad.tolist() == [2, 0, 0, 0]
    # The derivative by the weight is the value, at 0 too: weights that are learned start there.
    assert weight.grad.tolist() == [1, 0, 0, 4]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bool, torch.float16])
def test_counts(dtype: torch.dtype) -> None:
    weight = torch.tensor([1, 0, 1]).to(dtype)
    scored = torch.tensor([[True, False], [True, True], [True, True]])
    assert weighted_count(scored, weight, (3, 2)) == 3
    assert weighted_count(None, weight, (3, 2)) == 4
    assert weighted_count(torch.tensor([0.5, math.nan, 2.0]), weight, (3,)) == 2.5
    assert weighted_count(None, torch.ones(70000, dtype=torch.float16), (70000,)) == 70000
    wide = weighted_count(None, weight.double(), (3,))
    assert wide.dtype == torch.float64


def test_two_devices_are_refused() -> None:
    with pytest.raises(RuntimeError, match="two devices, cpu and meta"):
        weigh(torch.zeros(2), torch.ones(2, device="meta"))
