from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from likelihead.guard.report import LossName
from likelihead.guard.values import check_values

INF, NAN = math.inf, math.nan
Z = torch.tensor([[1.5, -2.0, 0.25], [0.5, 3.0, -1.0]])
INDEX = torch.tensor([0, 2])
LOG_PROBS, PROBS = Z.log_softmax(1), Z.softmax(1)
MULTI_HOT = torch.tensor([[1.0, 0, 1], [0, 1, 0]])


def with_value(values: Tensor, value: float) -> Tensor:
    changed = values.clone()
    changed[0, 1] = value
    return changed


def codes(loss: LossName, input: Tensor, target: Tensor | None, **options: object) -> list[str | None]:
    return [finding.code for finding in check_values(loss, input, target, **options)]  # type: ignore[arg-type]


WRONG: list[tuple[str, LossName, Tensor, Tensor]] = [
    ("LH101", "cross_entropy", PROBS, INDEX),
    ("LH101", "cross_entropy", PROBS.bfloat16(), INDEX),
    ("LH101", "cross_entropy", PROBS[0], INDEX[0]),
    ("LH104", "nll", PROBS, INDEX),
    ("LH105", "nll", Z, INDEX),
    ("LH108", "bce", Z, MULTI_HOT),
    ("LH201", "cross_entropy", Z, F.one_hot(INDEX, 3).float()),
    ("LH203", "cross_entropy", Z, torch.tensor([0, 3])),
    ("LH203", "cross_entropy", Z, torch.tensor([-1, 2])),
    ("LH203", "nll", LOG_PROBS, torch.tensor([0, 3], dtype=torch.uint8)),
    ("LH204", "cross_entropy", Z, MULTI_HOT),
    ("LH204", "cross_entropy", Z, MULTI_HOT.half()),
    ("LH205", "cross_entropy", Z, PROBS * 1.5),
    ("LH205", "cross_entropy", Z, torch.tensor([[0.5, 0.2, 0.2], [0, 0.5, 0.5]])),
    ("LH207", "bce_with_logits", Z, MULTI_HOT * 2 - 1),
    ("LH207", "bce", PROBS, MULTI_HOT * 255),
    ("LH207", "multilabel_soft_margin", Z, MULTI_HOT + 1),
    ("LH207", "bce_with_logits", Z, torch.full((2, 3), -1)),
    ("LH301", "cross_entropy", torch.randn(2, 3, 4), torch.randn(2, 3, 4).softmax(-1)),
    (
        "LH301",
        "cross_entropy",
        torch.randn(2, 3, 4),
        F.one_hot(torch.tensor([[0, 0, 1], [0, 0, 1]]), 4).float(),
    ),
    ("LH801", "cross_entropy", with_value(Z, NAN), INDEX),
    ("LH801", "cross_entropy", with_value(Z, INF), INDEX),
    ("LH801", "cross_entropy", Z, with_value(PROBS, NAN)),
    ("LH801", "nll", with_value(LOG_PROBS, NAN), INDEX),
    ("LH801", "bce_with_logits", with_value(Z, NAN), MULTI_HOT),
    ("LH801", "bce_with_logits", with_value(Z, -INF), MULTI_HOT),
    ("LH801", "bce_with_logits", Z, with_value(MULTI_HOT, NAN)),
    ("LH801", "mse", with_value(Z, -INF), Z),
    ("LH801", "mse", Z, with_value(Z, INF)),
    ("LH801", "gaussian_nll", Z, with_value(Z, NAN)),
]


@pytest.mark.parametrize(("code", "loss", "input", "target"), WRONG)
def test_wrong_values_are_found(code: str, loss: LossName, input: Tensor, target: Tensor) -> None:
    assert codes(loss, input, target) == [code]


RIGHT: list[tuple[LossName, Tensor, Tensor, dict[str, object]]] = [
    ("cross_entropy", Z, INDEX, {}),
    ("cross_entropy", with_value(Z, -INF), INDEX, {}),  # a masked class
    ("cross_entropy", Z, torch.tensor([0, -100]), {"ignore_index": -100}),
    ("cross_entropy", Z, torch.tensor([0, 255], dtype=torch.uint8), {"ignore_index": 255}),
    ("cross_entropy", Z, torch.tensor([0, 4]), {"num_classes": 5}),
    ("cross_entropy", Z.sigmoid(), INDEX, {}),  # numbers between 0 and 1 may be logits
    ("cross_entropy", torch.zeros(2, 3), INDEX, {}),
    ("cross_entropy", PROBS * 1.01, INDEX, {}),
    ("cross_entropy", PROBS - 0.5, INDEX, {}),
    ("cross_entropy", torch.ones(2, 1), torch.tensor([0, 0]), {}),
    ("cross_entropy", Z, PROBS, {}),  # distillation
    ("cross_entropy", Z, PROBS.half(), {}),
    ("cross_entropy", Z, F.one_hot(INDEX, 3) * 0.9 + 0.1 / 3, {}),  # smoothed
    ("cross_entropy", Z, torch.tensor([[0.7, 0.3, 0], [0, 0.3, 0.7]]), {}),  # mixup
    ("cross_entropy", Z, torch.tensor([[0.7, 0.3, 0], [0, 0, 0]]), {}),  # a row taken out
    ("cross_entropy", torch.randn(2, 3, 4), torch.randn(2, 3, 4).softmax(1), {}),
    ("cross_entropy", torch.empty(0, 3), torch.empty(0, dtype=torch.long), {}),
    ("cross_entropy", Z[0], torch.tensor(2), {}),
    ("nll", LOG_PROBS, INDEX, {}),
    ("nll", LOG_PROBS + 1e-4, INDEX, {}),  # rounding
    ("nll", torch.tensor([[0.0, -INF, -INF], [-INF, 0, -INF]]), INDEX, {}),
    ("nll", LOG_PROBS - 5, INDEX, {}),  # joint log-probabilities
    ("bce", PROBS, MULTI_HOT, {}),
    ("bce", torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 1.0]]), {}),
    ("bce_with_logits", Z, MULTI_HOT, {}),
    ("bce_with_logits", PROBS, PROBS, {}),
    ("bce_with_logits", with_value(Z, -INF), MULTI_HOT, {"mask": with_value(Z, -INF).isfinite()}),
    ("bce_with_logits", Z, MULTI_HOT.bool(), {}),
    ("bce_with_logits", Z, with_value(MULTI_HOT, NAN), {"missing": True}),
    ("bce_with_logits", Z, with_value(MULTI_HOT, -1), {"mask": with_value(torch.ones(2, 3), 0).bool()}),
    ("bce_with_logits", Z, with_value(MULTI_HOT, NAN), {"mask": with_value(torch.ones(2, 3), 0).bool()}),
    ("mse", Z, Z * 100, {}),
    ("gaussian_nll", Z, torch.tensor([[1, 2, 3], [4, 5, 6]]), {}),
]


@pytest.mark.parametrize(("loss", "input", "target", "options"), RIGHT)
def test_right_or_ambiguous_values_are_silent(
    loss: LossName, input: Tensor, target: Tensor, options: dict[str, object]
) -> None:
    assert codes(loss, input, target, **options) == []


def message(loss: LossName, input: Tensor, target: Tensor, **options: object) -> str:
    (finding,) = check_values(loss, input, target, **options)  # type: ignore[arg-type]
    return finding.detail


def test_the_first_offender_is_named_with_its_value() -> None:
    target = torch.tensor([[0, 1, 2], [1, 7, -3]])
    text = message("cross_entropy", torch.randn(2, 3, 3), target, ignore_index=-100)
    assert "is 7 at [1, 1] (2 of 6 values)" in text
    assert "3 classes" in text
    assert "-100" in text
    assert "is 9" in message("cross_entropy", Z[0], torch.tensor(9))
    assert "nan at [0, 1] (1 of 6 values)" in message("nll", with_value(Z, NAN), INDEX)
    assert "is -1 at [0, 1]" in message("bce_with_logits", Z, MULTI_HOT * 2 - 1)
    assert "row of the target at [0] sums to 1.5 (2 of 2 rows)" in message("cross_entropy", Z, PROBS * 1.5)
    assert "sums to 2" in message("cross_entropy", Z[0], PROBS[0] * 2)


def test_a_mask_that_broadcasts() -> None:
    target = torch.tensor([[0.0, -1.0], [1.0, -1.0]])
    assert codes("bce_with_logits", Z[:, :2], target, mask=torch.tensor([True, False])) == []
    assert codes("bce_with_logits", Z[:, :2], target, mask=torch.tensor([False, True])) == ["LH207"]


def test_a_hazard_of_the_input_does_not_hide_one_of_the_target() -> None:
    assert codes("cross_entropy", PROBS, torch.tensor([0, 5])) == ["LH101", "LH203"]
    assert codes("cross_entropy", PROBS, torch.tensor([0, 5]), input_known=True) == ["LH203"]


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_soft_targets_of_any_dtype_and_width_pass(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16]))
    classes = data.draw(st.integers(2, 3000))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32)))
    scale = data.draw(st.sampled_from([0.0, 1.0, 10.0]))
    z = torch.randn(4, classes, generator=generator, dtype=torch.float64)
    target = (z * scale).softmax(1).to(dtype)
    assert codes("cross_entropy", z.to(dtype), target) in ([], ["LH201"])


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_log_probabilities_of_any_dtype_and_scale_pass(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16]))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32)))
    scale = data.draw(st.sampled_from([0.0, 1.0, 100.0]))
    z = (torch.randn(4, 50, generator=generator, dtype=torch.float64) * scale).to(dtype)
    target = torch.tensor([0, 1, 2, 49])
    assert codes("nll", z.log_softmax(1), target) == []
    assert codes("nll", z - torch.logsumexp(z, 1, keepdim=True), target) == []
