"""What is timed: each function's answer is torch's, what it writes over is a copy, and absences are told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as torchs
from torch import Tensor

from likelihead.bench.case import AGAIN, CHUNKED, EAGER, FLOOR, IN_PLACE, OURS, Problem
from likelihead.bench.cases import CASES
from likelihead.bench.contenders import line_up, one_line, twice
from likelihead.errors import BackendError

LIMIT = 24
BY_NAME = {case.name: case for case in CASES}


def problem(name: str = "lm") -> Problem:
    return BY_NAME[name].shrunk(LIMIT).build()


@pytest.mark.parametrize("name", BY_NAME)
def test_every_case_runs_at_a_small_size_and_agrees_with_torch(name: str) -> None:
    set_up = problem(name)
    line = line_up(set_up, compiled=False)
    names = [contender.name for contender in line.contenders]
    assert names[0] == OURS
    assert names[-1] == FLOOR
    assert EAGER in names
    assert set(line.absent) <= {IN_PLACE}
    before = set_up.leaves[0].detach().clone()
    for contender in line.contenders:
        contender.prepare()
        contender.step()
        if contender.name != FLOOR:
            assert set_up.leaves[0].grad is not None
        contender.prepare()
        assert torch.equal(set_up.leaves[0], before)
    assert set_up.leaves[0].grad is None


def test_the_floor_copies_the_logits() -> None:
    set_up = problem()
    copied = set_up.floor()
    assert isinstance(copied, Tensor)
    assert torch.equal(copied, set_up.leaves[0])
    assert copied.data_ptr() != set_up.leaves[0].data_ptr()


def test_torch_against_itself_is_the_same_function_twice() -> None:
    line = twice(problem())
    assert [contender.name for contender in line.contenders] == [EAGER, AGAIN]


def planted(set_up: Problem, factor: float) -> None:
    right = set_up.losses[EAGER]
    set_up.losses[OURS] = lambda logits: right(logits) * factor


def test_a_wrong_answer_of_ours_is_not_timed() -> None:
    set_up = problem()
    planted(set_up, 1.01)
    with pytest.raises(BackendError, match="ours: its loss is off by"):
        line_up(set_up, compiled=False)


def test_a_wrong_gradient_of_ours_is_not_timed() -> None:
    set_up = problem()
    right = set_up.losses[EAGER]
    # the same value; the gradient is halved
    set_up.losses[OURS] = lambda logits: (right(logits) + right(logits).detach()) / 2
    with pytest.raises(BackendError, match="ours: its gradient is off by"):
        line_up(set_up, compiled=False)


def test_nan_is_not_taken_for_agreement() -> None:
    set_up = problem()
    planted(set_up, float("nan"))
    with pytest.raises(BackendError, match="nan"):
        line_up(set_up, compiled=False)


def test_a_missing_gradient_is_not_taken_for_agreement() -> None:
    set_up = problem()
    set_up.losses[OURS] = lambda logits: torchs.cross_entropy(logits.detach().requires_grad_(), set_up.target)
    with pytest.raises(ValueError, match="shorter"):
        line_up(set_up, compiled=False)


def test_a_peer_that_fails_or_is_wrong_is_named_and_the_others_go_on() -> None:
    set_up = problem()

    def broken(logits: Tensor) -> Tensor:
        raise OSError("no compiler under /opt/gcc/bin")

    right = set_up.losses[EAGER]
    set_up.losses |= {"broken": broken, "wrong": lambda logits: right(logits) * 2}
    line = line_up(set_up, compiled=False)
    assert line.absent["broken"] == "OSError: no compiler under <path>"
    assert "off by" in line.absent["wrong"]
    assert [contender.name for contender in line.contenders][:2] == [OURS, EAGER]
    assert not line.disagreeing


def test_what_is_known_to_disagree_is_timed_and_the_difference_told() -> None:
    set_up = problem()
    right = set_up.losses[EAGER]
    set_up.losses |= {"wrong": lambda logits: right(logits) * 2, "right": right}
    set_up.approximate = frozenset({"wrong", "right"})
    line = line_up(set_up, compiled=False)
    assert list(line.disagreeing) == ["wrong"]
    assert line.disagreeing["wrong"].startswith("its loss is off by ")
    assert not line.absent
    assert [contender.name for contender in line.contenders] == [
        OURS,
        EAGER,
        IN_PLACE,
        "wrong",
        "right",
        FLOOR,
    ]


@pytest.mark.skipif(not torch.__version__.startswith("2.13."), reason="its own chunks are not a promise")
def test_torchs_chunks_disagree_in_bfloat16_by_their_loss_alone() -> None:
    case = replace(BY_NAME["linear-bf16"], shape=(512, 20001), width=64)
    set_up = case.build()
    line = line_up(set_up, compiled=False)
    assert line.disagreeing[CHUNKED].startswith("its loss is off by ")
    assert CHUNKED in [contender.name for contender in line.contenders]
    right, answer = (
        torch.autograd.grad(set_up.losses[name](*set_up.leaves), set_up.leaves) for name in (EAGER, CHUNKED)
    )
    for of_eager, of_chunks in zip(right, answer, strict=True):
        torch.testing.assert_close(of_chunks, of_eager, rtol=0, atol=2e-2 * float(of_eager.abs().max()))


def test_a_function_that_writes_over_its_input_gets_a_copy() -> None:
    set_up = problem()
    right, seen = set_up.losses[EAGER], []

    def overwriting(logits: Tensor) -> Tensor:
        seen.append(logits.detach().clone())
        loss = right(logits.detach().clone().requires_grad_())
        loss = loss + (right(logits) - right(logits).detach())
        logits.data.zero_()
        return loss

    set_up.losses["overwriting"] = overwriting
    set_up.overwrites |= {"overwriting"}
    before = set_up.leaves[0].detach().clone()
    line = line_up(set_up, compiled=False)
    assert torch.equal(set_up.leaves[0], before)
    contender = next(one for one in line.contenders if one.name == "overwriting")
    for _ in range(2):
        contender.prepare()
        contender.step()
    assert len(seen) == 3
    assert all(torch.equal(one, before) for one in seen)


def test_copies_are_taken_in_turn() -> None:
    set_up = problem()
    right, seen = set_up.losses[EAGER], []

    def watched(logits: Tensor) -> Tensor:
        seen.append(logits.data_ptr())
        return right(logits)

    set_up.losses = {OURS: watched, EAGER: right}
    contender = line_up(set_up, compiled=False, copies=2).contenders[0]
    seen.clear()
    for _ in range(4):
        contender.prepare()
        contender.step()
    assert len(set(seen)) == 2
    assert seen[:2] == seen[2:]


def test_a_reason_is_one_line_without_a_path() -> None:
    assert one_line(RuntimeError("")) == "RuntimeError: "
    assert "/home" not in one_line(RuntimeError("in /home/me/x.py:3 and C:\\Users\\me\\y"))
    assert "Users" not in one_line(RuntimeError("in /home/me/x.py:3 and C:\\Users\\me\\y"))
