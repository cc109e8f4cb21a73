"""How fast `likelihead lint` is on real training code: with more files, on more cores, from its cache.

The files are other people's, so they are not kept here: folders of unpacked packages or repositories are
named on the command line, and the table says which they were. Of them every file counts that names torch or
Keras. Each time is that of a process of its own which has loaded the linter already, beside torch-preflight
on the same files if it is installed; its time is that of the whole command: it cannot be had otherwise.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from importlib.util import find_spec
from math import log
from pathlib import Path
from random import Random
from statistics import linear_regression
from time import perf_counter

from likelihead.bench.case import OURS
from likelihead.bench.machine import describe, versions
from likelihead.bench.results import Results, Row
from likelihead.bench.run import _busy
from likelihead.errors import BackendError, UserDataError

TWO, CACHED, PEER = "likelihead, 2 jobs", "likelihead, cached", "torch-preflight"
SIZES = (250, 500, 1000)
GOAL = 10.0  # seconds for a thousand files, on one core
RUNS = 3

# Not a module of its own: the processes that it starts would import it once more, and torch with it.
_PROGRAM = """
import json, os, sys
from pathlib import Path
from time import perf_counter

from likelihead.lint import Settings, lint_paths
from likelihead.lint.cache import Cache

task = json.load(sys.stdin)
if task["jobs"] == 1 and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
cache = None if task["cache"] is None else Cache(Path(task["cache"]))
start = perf_counter()
lint_paths(task["files"], settings=Settings(), jobs=task["jobs"], cache=cache)
if cache is not None:
    cache.save()
print(perf_counter() - start)
"""


def measure(folders: Sequence[Path], sizes: Sequence[int], observer: Callable[[str], object]) -> Results:
    """Measure the linter on the first so many files of the folders, in an order drawn once.

    Raises:
        UserDataError: the folders hold too few files.
        BackendError: a process failed.
    """
    files = _files(folders)
    if len(files) < min(sizes):
        raise UserDataError(
            f"the folders hold {len(files)} files that name torch or Keras; expected at least {min(sizes)}"
        )
    notes, rows = _busy(), []
    for size in sorted({min(size, len(files)) for size in sizes}):
        chosen = sorted(files[:size])
        lines = sum(path.read_bytes().count(b"\n") for path in chosen)
        seconds: dict[str, list[float]] = {OURS: [], TWO: [], CACHED: []}
        for run in range(RUNS):
            observer(f"{size} files, run {run + 1}")
            seconds[OURS].append(_ours(chosen, 1, None))
            seconds[TWO].append(_ours(chosen, 2, None))
            with tempfile.TemporaryDirectory() as folder:
                _ours(chosen, 1, folder)
                seconds[CACHED].append(_ours(chosen, 1, folder))
        if find_spec("torch_preflight") is not None:
            observer(f"{size} files, {PEER}")
            seconds[PEER] = [_preflight(chosen)]
        rows.append(
            Row(
                case=f"{size} files",
                what=f"{lines} lines",
                op="lint",
                shape=[size, lines],
                dtype="",
                backend="",
                runs=1,
                seconds=seconds,
                extra_mib={},
            )
        )
    return Results(
        suite="lint",
        date=datetime.now(timezone.utc).date().isoformat(),
        machine=describe(),
        versions={**versions(), "files of": ", ".join(sorted(folder.name for folder in folders))},
        settings={"threads": 1},
        rows=rows,
        notes=notes,
    )


def met(results: Results) -> bool:
    """Whether a thousand files take less than the goal, by the largest number of files that was measured."""
    last = results.rows[-1]
    return last.medians[OURS] / last.shape[0] * 1000 <= GOAL


def page(results: Results) -> str:
    """The results in Markdown."""
    facts = {**results.machine, **results.versions}
    names = [name for name in (OURS, TWO, CACHED, PEER) if name in results.rows[-1].seconds]
    lines = [
        f"# lint: {results.machine['cpu']}, {results.date}",
        "",
        "; ".join(f"{name} {value}" for name, value in facts.items()) + ".",
        "",
        f"`likelihead lint` of files that name torch or Keras: the median of {RUNS} runs, on one core unless"
        f" it says otherwise. Goal: 1000 files in {GOAL:g} s: {'met' if met(results) else 'missed'}."
        f" {_growth(results.rows)}",
        *results.notes,
        "",
        f"| files | lines | {' | '.join(names)} | per 1000 files | per line |",
        f"|{'--:|' * (len(names) + 4)}",
    ]
    for row in results.rows:
        each = [f"{row.medians[name]:.3g} s" if name in row.seconds else "" for name in names]
        files, count = row.shape
        ours = row.medians[OURS]
        cells = (str(files), str(count), *each, f"{ours / files * 1e3:.3g} s", f"{ours / count * 1e6:.0f} µs")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _growth(rows: Sequence[Row]) -> str:
    if len(rows) < 2:
        return ""
    power = linear_regression(
        [log(row.shape[1]) for row in rows], [log(row.medians[OURS]) for row in rows]
    ).slope
    return f"The time grows by the lines' power of {power:.2f}."


def _files(folders: Sequence[Path]) -> list[Path]:
    found = [
        path
        for folder in folders
        for path in folder.rglob("*.py")
        if path.is_file() and any(mark in path.read_bytes() for mark in (b"torch", b"keras"))
    ]
    return Random(0).sample(sorted(found), len(found))  # so that any first part of them is of all folders


def _ours(files: Sequence[Path], jobs: int, cache: str | None) -> float:
    task = json.dumps({"files": list(map(str, files)), "jobs": jobs, "cache": cache})
    command = [sys.executable, "-c", _PROGRAM]
    done = subprocess.run(command, input=task, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = next(reversed(done.stderr.strip().splitlines()), "no word why")
        raise BackendError(f"the process that lints {len(files)} files failed: {last}")
    return float(done.stdout.splitlines()[-1])


def _preflight(files: Sequence[Path]) -> float:
    command = [sys.executable, "-m", "torch_preflight", "check", *map(str, files)]
    start = perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return perf_counter() - start
