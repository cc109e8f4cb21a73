"""The table of cases is the one that the goals were set for."""

from __future__ import annotations

import pytest
import torch

from likelihead.bench.case import EAGER, FLOOR, IN_PLACE, OURS, Goal
from likelihead.bench.cases import CASES, select
from likelihead.errors import OptionError

IN_WORDS = {
    "lm": "CE [1024, 50257] f32",
    "lm-bf16": "CE [1024, 50257] bf16",
    "imagenet": "CE [8192, 1000] f32",
    "few-classes": "CE [65536, 10] f32",
    "segmentation": "CE [4, 21, 256, 256] f32",
    "options": "CE [1024, 50257] f32, weight, smoothing 0.1, 50% ignored",
    "soft": "CE [8192, 1000] f32, probability targets",
    "tiny-ce": "CE [10, 3] f32",
    "multilabel": "BCE-with-logits [4096, 1000] f32",
    "multilabel-pos": "BCE-with-logits [4096, 1000] f32, pos_weight",
    "tiny-bce": "BCE-with-logits [10, 1] f32",
}


def test_the_cases() -> None:
    assert {case.name: case.what for case in CASES} == IN_WORDS


def test_the_goals() -> None:
    wanted = {
        case.name: [(goal.subject, goal.against, goal.kind, goal.times) for goal in case.goals]
        for case in CASES
    }
    assert wanted["lm"] == [
        (OURS, EAGER, "faster", 5),
        (OURS, FLOOR, "within", 2.3),
        (IN_PLACE, EAGER, "faster", 10),
        (IN_PLACE, FLOOR, "within", 1.2),
    ]
    assert wanted["options"] == [(OURS, EAGER, "faster", 8), (OURS, FLOOR, "within", 2)]
    assert wanted["tiny-bce"] == [(OURS, EAGER, "within", 1.1)]
    assert all(wanted.values())


def test_the_inputs_are_what_the_case_says() -> None:
    by_name = {case.name: case for case in CASES}
    options = by_name["options"].shrunk(200).build()
    assert 0.3 < (options.target == -100).float().mean() < 0.7
    soft = by_name["soft"].shrunk(20).build()
    torch.testing.assert_close(soft.target.sum(1), torch.ones(20))
    assert by_name["lm-bf16"].shrunk(20).build().leaves[0].dtype == torch.bfloat16
    assert by_name["segmentation"].shrunk(5).build().target.shape == (4, 5, 5)
    assert set(by_name["multilabel"].shrunk(20).build().target.unique().tolist()) == {0, 1}


def test_the_same_tensors_every_time() -> None:
    first, second = (CASES[0].shrunk(9).build() for _ in range(2))
    assert torch.equal(first.leaves[0], second.leaves[0])
    assert torch.equal(first.target, second.target)


@pytest.mark.parametrize(("only", "words"), [("(", "no regular expression"), ("zzz", "the cases are lm,")])
def test_a_wrong_selection_is_told(only: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        select(only)


def test_a_goal_in_words_and_judged() -> None:
    faster, within = Goal(OURS, EAGER, "faster", 5), Goal(OURS, FLOOR, "within", 2.3)
    assert str(faster) == "≥ 5x torch eager"
    assert str(within) == "≤ 2.3x floor"
    assert faster.is_met_by(5)
    assert not faster.is_met_by(4.99)
    assert within.is_met_by(2.3)
    assert not within.is_met_by(2.31)
    assert faster.over_and_under == (EAGER, OURS)
    assert within.over_and_under == (OURS, FLOOR)
