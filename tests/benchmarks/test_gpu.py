"""The GPU table: its cases hold together on any device at small sizes; its clock needs a GPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.gpu import peer
from benchmarks.gpu.cases import CASES
from benchmarks.gpu.linear_softmax_nll import LinearCase
from likelihead.bench.case import EAGER, FLOOR, OURS, Case
from likelihead.bench.contenders import line_up
from likelihead.errors import BackendError

IN_WORDS = {
    "ce-lm": "CE [8192, 128256] bf16",
    "ce-32k": "CE [8192, 32000] bf16",
    "ce-4k": "CE [32768, 4096] bf16",
    "ce-segmentation": "CE [4, 21, 1024, 1024] bf16",
    "bce": "BCE-with-logits [65536, 1000] bf16",
    "linear": "linear CE, hidden [8192, 4096] bf16, vocab 128256",
    "linear-sft": "linear CE, hidden [8192, 4096] bf16, vocab 128256, 75% ignored",
}


def test_the_cases() -> None:
    assert {case.name: case.what for case in CASES} == IN_WORDS


def small(case: Case) -> Case:
    case = case.shrunk(16)
    return replace(case, width=8) if isinstance(case, LinearCase) else case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_can_be_set_up_and_run(case: Case) -> None:
    line = line_up(small(case).build("cpu"), compiled=False, copies=2)
    names = [contender.name for contender in line.contenders]
    assert EAGER in names
    assert names[-1] == FLOOR
    assert OURS in names or OURS in line.absent
    for contender in line.contenders:
        contender.prepare()
        contender.step()
    known = {*names, *line.absent}
    assert {goal.subject for goal in case.goals} | {goal.against for goal in case.goals} <= known


def test_a_peer_that_is_not_installed_is_named() -> None:
    problem = small(CASES[0]).build("cpu")
    peer.add(problem, "Nobody", "no_such_package", "loss", lambda loss: loss)
    assert problem.absent["Nobody"] == "ModuleNotFoundError: No module named 'no_such_package'"
    peer.add(problem, "Somebody", "torch.nn.functional", "cross_entropy", lambda loss: loss)
    assert problem.losses["Somebody"] is torch.nn.functional.cross_entropy


def test_the_ignored_rows_leave_the_floor_fewer_products() -> None:
    case = LinearCase(name="x", shape=(16, 8), width=4, ignored=0.75)
    problem = case.build("cpu")
    assert int((problem.target == -100).sum()) == 12


def test_without_a_gpu_measuring_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.gpu.run import measure

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendError, match="no CUDA device"):
        measure(CASES)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_small_table_on_a_gpu() -> None:
    from benchmarks.gpu.run import measure

    results = measure([small(case) for case in CASES], repeat=1)
    assert [row.case for row in results.rows] == list(IN_WORDS)
