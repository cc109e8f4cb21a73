"""The table of cases is the one that the goals were set for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from likelihead.bench.case import CHUNKED, EAGER, FLOOR, IN_PLACE, OURS, Goal, Room
from likelihead.bench.cases import CASES, select
from likelihead.bench.linear_kl import KLCase
from likelihead.bench.linear_softmax_nll import LinearCase
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
    "linear": "linear CE, hidden [2048, 768] f32, vocab 50257",
    "linear-bf16": "linear CE, hidden [2048, 768] bf16, vocab 50257",
    "linear-sft": "linear CE, hidden [2048, 768] f32, vocab 50257, 75% ignored",
    "linear-frozen": "linear CE, hidden [2048, 768] f32, vocab 50257, frozen head",
    "linear-per-token": "linear CE, hidden [2048, 768] f32, vocab 50257, per token",
    "log-probs": "linear CE, hidden [2048, 768] f32, vocab 50257, log-probs and entropy",
    "linear-kl": "linear KL, two heads, hidden [2048, 768] f32, vocab 50257, forward",
    "linear-kl-reverse": "linear KL, two heads, hidden [2048, 768] f32, vocab 50257, reverse",
}


def test_the_cases() -> None:
    assert {case.name: case.what for case in CASES} == IN_WORDS


def test_the_goals() -> None:
    wanted = {
        case.name: [
            (goal.subject, goal.against, goal.kind, goal.times)
            for goal in case.goals
            if isinstance(goal, Goal)
        ]
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
    assert wanted["linear"] == wanted["linear-bf16"]
    assert wanted["linear"] == [
        (OURS, EAGER, "faster", 1.7),
        (OURS, CHUNKED, "faster", 3),
        (OURS, FLOOR, "within", 1.08),
    ]
    assert wanted["linear-kl"] == wanted["linear-kl-reverse"]
    assert wanted["linear-kl"] == [(OURS, EAGER, "faster", 1.7), (OURS, FLOOR, "within", 1.15)]
    assert wanted["linear-frozen"] == [(OURS, FLOOR, "within", 1.08)]
    assert all(wanted.values())


def test_the_room_beside_the_gradients() -> None:
    room = {case.name: goal.mib for case in CASES for goal in case.goals if isinstance(goal, Room)}
    of_hidden, of_head = 2048 * 768 / 2**20, 50257 * 768 / 2**20
    whole = 4 * (of_hidden + of_head) + 128
    assert room == {
        "linear": pytest.approx(whole),
        "linear-bf16": pytest.approx(2 * (of_hidden + of_head) + 128),
        "linear-sft": pytest.approx(whole),
        "linear-frozen": pytest.approx(4 * of_hidden + 128),
        "linear-per-token": pytest.approx(whole),
        "log-probs": pytest.approx(whole),
        "linear-kl": pytest.approx(whole),
        "linear-kl-reverse": pytest.approx(whole),
    }


@pytest.mark.parametrize(
    ("settings", "products"),
    [
        ({}, ["16x4x8", "16x8x4", "8x16x4"]),
        ({"ignored": 0.75}, ["4x4x8", "4x8x4", "8x4x4"]),
        ({"frozen": True}, ["16x4x8", "16x8x4"]),
        ({"values": "per token"}, ["16x4x8", "16x4x8", "16x8x4", "8x16x4"]),
        ({"values": "log-probs"}, ["16x4x8", "16x4x8", "16x8x4", "8x16x4"]),
    ],
)
def test_the_floor_of_a_head_is_its_products_alone(
    settings: dict[str, Any], products: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    problem = LinearCase(name="x", shape=(16, 8), width=4, **settings).build()
    monkeypatch.setattr(torch, "mm", lambda a, b: seen.append(f"{a.shape[0]}x{a.shape[1]}x{b.shape[1]}"))
    problem.floor()
    assert seen == products


def test_the_floor_of_two_heads_is_the_logits_of_both_and_the_students_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = KLCase(name="x", shape=(16, 8), width=4).build()
    seen: list[str] = []
    monkeypatch.setattr(torch, "mm", lambda a, b: seen.append(f"{a.shape[0]}x{a.shape[1]}x{b.shape[1]}"))
    problem.floor()
    assert seen == ["16x4x8", "16x4x8", "16x8x4", "8x16x4"]


def test_torchs_own_chunks_are_a_peer_where_a_goal_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    by_name = {case.name: case.shrunk(20) for case in CASES}
    there = hasattr(torch.nn, "LinearCrossEntropyOptions")
    for name in ("linear", "linear-bf16"):
        problem = by_name[name].build()
        assert (CHUNKED in problem.losses) == there
        assert problem.once == {CHUNKED}
        assert problem.approximate == ({CHUNKED} if there and name == "linear-bf16" else set())
    assert CHUNKED not in by_name["linear-sft"].build().losses
    monkeypatch.delattr(torch.nn, "LinearCrossEntropyOptions", raising=False)
    assert "has no linear_cross_entropy(options=)" in by_name["linear"].build().absent[CHUNKED]


def test_the_inputs_are_what_the_case_says() -> None:
    by_name = {case.name: case for case in CASES}
    options = by_name["options"].shrunk(200).build()
    assert 0.3 < (options.target == -100).float().mean() < 0.7
    soft = by_name["soft"].shrunk(20).build()
    torch.testing.assert_close(soft.target.sum(1), torch.ones(20))
    assert by_name["lm-bf16"].shrunk(20).build().leaves[0].dtype == torch.bfloat16
    assert by_name["segmentation"].shrunk(5).build().target.shape == (4, 5, 5)
    assert int((by_name["linear-sft"].shrunk(20).build().target == -100).sum()) == 15
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
    room = Room(OURS, 281.2)
    assert str(room) == "≤ 281 MiB"
    assert room.is_met_by(281.2)
    assert not room.is_met_by(281.3)
    assert faster.over_and_under == (EAGER, OURS)
    assert within.over_and_under == (OURS, FLOOR)
