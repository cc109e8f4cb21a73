"""Whole runs at sizes that measure nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from likelihead.bench import machine, memory, run
from likelihead.bench.case import AGAIN, CHUNKED, EAGER, FLOOR, OURS
from likelihead.bench.cases import CASES
from likelihead.errors import BackendError, OptionError
from likelihead.kernels.dispatch import explain


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likelihead.bench.clock.SCRATCH_MIB", 1)


def test_the_cpu_table() -> None:
    cases, seen, threads = [case.shrunk(8) for case in CASES], [], torch.get_num_threads()
    results = run.measure(cases, threads=1, repeat=1, compiled=False, memory=False, observer=seen.append)
    assert seen == cases
    assert torch.get_num_threads() == threads
    assert results.settings == {"threads": 1, "rounds": 1, "caches": "cold"}
    for case, row in zip(cases, results.rows, strict=True):
        assert row.case == case.name
        assert {OURS, EAGER, FLOOR} <= set(row.seconds)
        assert all(len(samples) == 1 for samples in row.seconds.values())
        assert row.backend
        assert row.goals == list(case.goals)


def test_a_case_whose_calls_take_seconds_has_few_rounds() -> None:
    (case,) = (case.shrunk(8) for case in CASES if case.name == "linear")
    for repeat, rounds in ((2, 2), (11, 3)):
        results = run.measure([case], threads=1, repeat=repeat, compiled=False, memory=False)
        for name, samples in results.rows[0].seconds.items():
            assert len(samples) == (1 if name == CHUNKED else rounds)  # which takes half a minute


def test_the_table_of_a_backend_by_name() -> None:
    cases = [case.shrunk(8) for case in CASES[-3:]]
    results = run.measure(cases, threads=1, repeat=1, compiled=False, memory=False, backend="portable")
    assert results.settings["backend"] == "portable"
    for row in results.rows:
        assert row.backend == "portable"
        assert [str(goal) for goal in row.goals] == ["≤ 1.2x torch eager"]
    assert explain("softmax_nll", torch.zeros(2, 3)).reason.startswith("the first that serves")
    with pytest.raises(OptionError, match="'fast'"):
        run.measure(cases, threads=1, repeat=1, backend="fast")


def test_the_identity_table() -> None:
    results = run.measure_identity([CASES[0].shrunk(8)], threads=1, repeat=2, cold=False)
    assert results.suite == "identity"
    assert results.settings["caches"] == "warm"
    (row,) = results.rows
    assert set(row.seconds) == {EAGER, AGAIN}
    goals = {(goal.subject, goal.against): goal.times for goal in row.goals}
    assert goals == {(AGAIN, EAGER): 1.1, (EAGER, AGAIN): 1.1}


@pytest.mark.parametrize(
    ("threads", "repeat", "words"), [(0, 1, "--threads is 0"), (9999, 1, "1 to"), (None, 0, "--repeat is 0")]
)
def test_wrong_settings(threads: int | None, repeat: int, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        run.check_settings(threads, repeat)


def test_one_core_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "available_cores", lambda: 1)
    assert run.check_settings(None, 1) == 1


def test_where_memory_cannot_be_measured_the_results_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "why_not", lambda: "no such file")
    results = run.measure([CASES[0].shrunk(8)], threads=1, repeat=1, compiled=False)
    assert "Memory is not measured: no such file." in results.notes
    assert results.rows[0].extra_mib == {}


def test_patience_that_was_not_enough_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likelihead.bench.patience._busy", lambda used, taken: True)
    results = run.measure_identity([CASES[0].shrunk(8)], threads=1, repeat=1, cold=False, patience=0.01)
    assert results.notes == [
        "The machine was busy for longer than 0.01 seconds: measure again when it is idle."
    ]


def test_a_busy_machine_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (3.0, 0.0, 0.0))
    assert "load 3.0" in run._busy()[0]
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 9.0, 9.0))
    assert run._busy() == []


# What was freed before stays resident with the allocator of a process, unless it is told otherwise as the
# table's processes are: a step that is handed these pages seems to hold nothing.
HOLDS = """
import torch
from likelihead.bench.contenders import Contender
from likelihead.bench.memory import extra_mib

mib = 2**18  # float32 elements
torch.ones(4 * mib)  # once freed, blocks of its size come from the heap
freed = [torch.ones(mib) for _ in range(150)]
on_top = torch.ones(mib)
del freed

def step():
    held = torch.ones(64 * mib)
    held = torch.cat([held[: 32 * mib], held[: 32 * mib]])

held = []
print(extra_mib(Contender("x", step, held.clear)))
print(extra_mib(Contender("y", lambda: held.append(torch.ones(32 * mib)), held.clear)))
"""


@pytest.mark.skipif(bool(memory.why_not()), reason="the high-water mark cannot be reset here")
def test_extra_memory_is_what_a_step_holds_at_its_worst() -> None:
    variables = os.environ | memory._ALLOCATOR
    done = subprocess.run(
        [sys.executable, "-c", HOLDS], env=variables, capture_output=True, text=True, check=True
    )
    twice_64, keeps_32 = map(float, done.stdout.split())
    assert twice_64 == pytest.approx(128, abs=8)
    assert keeps_32 == pytest.approx(32, abs=4)


@pytest.mark.skipif(bool(memory.why_not()), reason="the high-water mark cannot be reset here")
def test_a_case_is_measured_in_a_process_of_its_own() -> None:
    figures = memory.in_own_process("tiny-ce", threads=1, compiled=False)
    assert set(figures) == {OURS, EAGER, FLOOR}
    assert all(0 <= mib < 16 for mib in figures.values())


def test_a_process_that_fails_is_told() -> None:
    with pytest.raises(BackendError, match=r"memory of nothing failed: ValueError"):
        memory.in_own_process("nothing", threads=1, compiled=False)


def test_the_machine_is_described_without_a_name_or_a_path() -> None:
    import os
    import platform

    text = str(machine.describe()) + str(machine.versions("no-such-package"))
    assert platform.node() not in text or not platform.node()
    assert os.sep not in text
    assert "no-such-package" not in text
    assert machine.versions()["torch"] == torch.__version__
