"""The kit: its budget, its processes, its files, and a rehearsal of all of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.gpu import report, sanitize
from benchmarks.gpu.book import Book
from benchmarks.gpu.budget import Budget, Rehearsed
from benchmarks.gpu.device import REHEARSAL, Rehearsal
from benchmarks.gpu.kit import SHARES, Kit
from benchmarks.gpu.search import Found, Place
from benchmarks.gpu.work import Outcome, Pool, Task, Worker, Wrong
from likelihead.bench.results import Results, read

ROOT = Path(__file__).parents[2]


def _book(tmp_path: Path) -> Book:
    machine: dict[str, Any] = {"cpu": "a CPU", "gpu": "A Card", "memory_gib": 139}
    return Book(Results("gpu", "2026-11-28", machine, {}, {}, []), tmp_path / "gpu.json")


class Pretended:
    """Workers that take as long as they were thought to, by the clock."""

    size = 2

    def __init__(self, clock: Rehearsed, slowness: float = 1.0) -> None:
        self._clock = clock
        self._slowness = slowness
        self.done: list[str] = []

    def alone(self, task: Task, patience: float) -> Outcome:
        assert patience >= 1
        self._clock.advance(self._slowness * task.estimate)
        self.done.append(task.name)
        return Outcome(task.name, "right", found={"rows": []})

    def together(
        self,
        tasks: Sequence[Task],
        patience: Callable[[Task], float | None],
        done: Callable[[Task, Outcome | None], object],
        most: int | None = None,
    ) -> None:
        for task in tasks:
            seconds = patience(task)
            done(task, None if seconds is None else self.alone(task, seconds))


@pytest.mark.parametrize("slowness", [0.02, 0.1, 1.0])
@pytest.mark.parametrize("seconds", [20.0, 540.0, 1e6])
def test_it_keeps_to_its_budget_and_names_what_it_leaves_out(
    seconds: float, slowness: float, tmp_path: Path
) -> None:
    clock = Rehearsed()
    workers, book = Pretended(clock, slowness), _book(tmp_path)
    budget = Budget(seconds, clock)
    Kit(workers, budget, book).run(seed=1, rounds=11)
    assert budget.spent() <= seconds
    steps = {step["name"]: step["status"] for step in book.results.steps}
    skipped = [step for step in book.results.steps if step["status"] == "skipped"]
    assert len(workers.done) + len(skipped) == len(book.results.steps)
    assert all("do not fit" in step["message"] for step in skipped)
    # The most valuable come first, and leave something to the others.
    assert [name.split("/")[0] for name in workers.done[:2]] in (["sanitizer", "correct"], ["correct"] * 2)
    if seconds > 500:
        assert steps["rates/copy"] == steps["table/ce-lm"] == "right"
    if seconds > 1e5 or (seconds > 500 and slowness <= 0.1):  # the second has checks left for the end
        assert not skipped


def test_the_shares_grow_to_the_whole() -> None:
    shares = list(SHARES.values())
    assert shares == sorted(shares)
    assert shares[-1] < 1


def test_only_some_steps(tmp_path: Path) -> None:
    clock = Rehearsed()
    workers = Pretended(clock)
    Kit(workers, Budget(1e6, clock), _book(tmp_path), only="^rates|ce-lm$").run(seed=1, rounds=1)
    assert workers.done[:2] == ["rates/copy", "rates/matrix product"]
    assert "table/ce-lm" in workers.done
    assert not [name for name in workers.done if name.startswith("correct/")]


def right(device: Any, number: int) -> dict[str, Any]:
    return {"number": number + 1, "variable": os.environ.get("LIKELIHEAD_OF_WORKERS")}


def wrong(device: Any) -> None:
    raise Wrong("it is 2")


def raising(device: Any) -> None:
    raise ValueError("no such\nthing")


def ending(device: Any) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def hanging(device: Any) -> None:
    time.sleep(600)


def lost_device(device: Any) -> None:
    device.alive = lambda: False
    raise RuntimeError("an illegal memory access was encountered")


def test_whatever_becomes_of_a_worker_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    pool = Pool(2, {"LIKELIHEAD_OF_WORKERS": "theirs"})
    try:
        assert pool.start()["memory_gib"] is not None
        tasks = [
            Task("right", right, (1,)),
            Task("wrong", wrong),
            Task("raises", raising),
            Task("ends", ending),
            Task("hangs", hanging, patience=1.0),
            Task("loses the device", lost_device),
            Task("does not fit", right, (1,), estimate=1e9),
            Task("right again", right, (2,)),
        ]
        found: dict[str, Outcome | None] = {}
        pool.together(
            tasks,
            lambda task: None if task.estimate > 1e6 else task.patience,
            lambda task, outcome: found.update({task.name: outcome}),
        )
        alone = pool.alone(tasks[0], 60)
    finally:
        pool.stop()
    assert found.pop("does not fit") is None
    outcomes = {name: (one.status, one.message) for name, one in found.items() if one is not None}
    assert outcomes["right"] == outcomes["right again"] == ("right", "")
    assert outcomes["wrong"] == ("wrong", "it is 2")
    assert outcomes["raises"][0] == "failed"
    assert outcomes["raises"][1].startswith("ValueError: no such thing (test_gpu_kit.py:")
    assert outcomes["ends"] == ("lost", "the process ended with exit code -11")
    assert outcomes["hangs"] == ("lost", "nothing was heard for 1 s")
    assert outcomes["loses the device"][0] == "lost"
    assert "illegal memory access" in outcomes["loses the device"][1]
    assert alone.found == {"number": 2, "variable": "theirs"}
    again = found["right again"]
    assert again is not None
    assert again.found == {"number": 3, "variable": "theirs"}
    assert "LIKELIHEAD_OF_WORKERS" not in os.environ


def test_the_file_is_whole_after_each_step(tmp_path: Path) -> None:
    book = _book(tmp_path)
    assert read(book.path).steps == []
    book.add(Outcome("correct/softmax/plain/x", "right", 1.0, found={"value ulp": 1.5, "b": float("inf")}))
    book.add(Outcome("planted/y", "wrong", message="it is 2"))
    found = Found(Place("ce-lm", "loss", "rows", "wide"), {"warps": 4}, {"warps": 8}, 3.0, 2.0, 5)
    book.add_tunable(found)
    again = read(book.path)
    assert [step["status"] for step in again.steps[:2]] == ["right", "wrong"]
    assert report.summary(again) == [
        "correct/softmax/plain: 1 right; at most 1.50 ulp",
        "planted: 1 wrong",
        "WRONG planted/y: it is 2",
    ]
    (row,) = report.tunables(again)
    assert row.startswith('("rows", "wide"): Tunable(warps=8, source="A Card, 2026-11-28"),  # 1.50x')
    made = eval("{" + row + "\n}", {"Tunable": dict})
    assert made == {("rows", "wide"): {"warps": 8, "source": "A Card, 2026-11-28"}}
    assert not list(tmp_path.glob("*.part"))
    assert "WRONG planted/y" in report.page(again)


def _rehearse(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks", "gpu", "--budget", "60", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


SOME = r"softmax/plain|planted/.*mean|rates|(compiled|table)/(ce-lm|bce)$|never waits/softmax$|search/ce-lm"


def test_a_rehearsal(tmp_path: Path) -> None:
    run = _rehearse("--only", SOME, "--save", str(tmp_path), "--seed", "7")
    printed, errors = run.communicate(timeout=300)
    assert run.returncode == 0, printed + errors
    assert errors.startswith(REHEARSAL)
    assert REHEARSAL in printed
    (file,) = tmp_path.glob("*-rehearsal-gpu.json")
    (page,) = tmp_path.glob("*-rehearsal-gpu.md")
    results = read(file)
    assert [row.case for row in results.rows] == ["ce-lm", "bce"]
    groups = {step["name"].split("/")[0] for step in results.steps}
    assert groups >= {"correct", "planted", "rates", "table", "behaviour", "search"}
    assert all(step["status"] in ("right", "skipped") for step in results.steps if "status" in step)
    assert REHEARSAL in page.read_text(encoding="utf-8")
    assert re.search(r"correct/softmax/plain: \d right", printed)
    assert printed.rindex("ce-lm: CE [8, 8] bf16") > printed.rindex("correct/softmax/plain")


def test_a_run_that_is_killed_leaves_what_it_had(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    run = _rehearse("--json", str(out))
    try:
        deadline = time.monotonic() + 200
        while not out.exists() or len(json.loads(out.read_text(encoding="utf-8")).get("steps", [])) < 6:
            assert run.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        run.kill()
        run.communicate()
    assert len(read(out).steps) >= 6
    shown = CliRunner().invoke(main, ["gpu", "--show", str(out)])
    assert shown.exit_code == 0, shown.output
    assert "correct/softmax/plain" in shown.output


WATCHER = """#!/bin/sh
echo "========= COMPUTE-SANITIZER"
echo "========= Invalid __global__ write of size 4 bytes"
while [ "$1" != "5" ]; do shift; done; shift
test -n "$CUT" || PYTHONPATH={path} "$@" || exit 3
exit $CODE
"""


@pytest.mark.parametrize(
    ("code", "words"), [("0", r"'checks': '\d+ of \d+'"), ("1", "exit code 1"), ("86", "")]
)
def test_what_the_sanitizer_says(
    code: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / sanitize.PROGRAM
    program.write_text(WATCHER.format(path=f"{ROOT / 'src'}:{ROOT}"), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CODE", code)
    monkeypatch.setenv("CUT", "" if code == "0" else "1")
    if code == "86":
        with pytest.raises(Wrong, match="Invalid __global__ write of size 4"):
            sanitize.run(Rehearsal(), 1)
    else:
        assert re.search(words, str(sanitize.run(Rehearsal(), 1)))


def test_without_a_sanitizer_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert sanitize.run(Rehearsal(), 1) == {"note": "there is no compute-sanitizer here"}


def test_a_worker_that_does_not_start_loses_its_task_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.gpu.work._serve", ending)
    worker = Worker({}, 1)
    outcome = worker.do(Task("right", right, (1,)), 60)
    assert outcome.status == "lost"
    assert "did not start: the process ended with exit code" in outcome.message
