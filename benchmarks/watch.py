"""What `likelihead watch` costs a training step: a bare script and the watched one, step by step in turns.

Both are processes of their own that live through the whole measurement, so that the watched one is what a
user runs, and the memory of each can be told. In some of its steps the tensors are followed: the first ones,
and then one in so many. These are timed apart, and count with their share.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from likelihead.bench.clock import spread
from likelihead.bench.machine import describe, versions
from likelihead.bench.results import Results, Row
from likelihead.bench.run import _busy
from likelihead.errors import BackendError
from likelihead.watch.engine import EVERY, FIRST_STEPS

BARE, WATCHED = "bare", "watched"
REPORTED = " with the report"  # of the peaks
FOLLOWED = " where tensors are followed"  # of BARE and of WATCHED: these steps
TINY = "tabular"  # its cost is told, and no goal


class Script(NamedTuple):
    """A training step of `watch_script`."""

    name: str
    what: str


CASES = (
    Script("convnet", "MNIST, batch 64"),
    Script("transformer", "6 layers, width 256, 8192 tokens, batch 8 x 128"),
    Script("segmentation", "U-Net, 21 classes, batch 4 x 96 x 96"),
    Script(TINY, "three small layers, batch 32: the worst case"),
)
GOAL_SHARE, GOAL_MIB = 0.03, 50.0  # of a step; the tiny one is told, and not counted
UNMEASURED = 4  # steps at the start, in which torch gets going
WINDOW = 8  # steps whose times are added up: some things happen at every fourth
LEAST, MOST = 40, 15 * EVERY  # steps after the first ones
_SCRIPT = Path(__file__).with_name("watch_script.py")


@dataclass
class _Times:
    """Seconds of steps that were timed beside each other."""

    bare: list[float] = field(default_factory=list)
    watched: list[float] = field(default_factory=list)

    def add(self, bare: float, watched: float) -> None:
        self.bare.append(bare)
        self.watched.append(watched)


def measure(
    scripts: Sequence[Script], threads: int, seconds: float, observer: Callable[[str], object]
) -> Results:
    """Measure these scripts.

    Raises:
        BackendError: a process failed.
    """
    notes, rows = _busy(), []
    for script in scripts:
        observer(script.name)
        rows.append(_row(script, threads, seconds))
    return Results(
        suite="watch",
        date=datetime.now(timezone.utc).date().isoformat(),
        machine=describe(),
        versions=versions(),
        settings={"threads": threads, "first steps": FIRST_STEPS, "every": EVERY},
        rows=rows,
        notes=notes,
    )


def share(row: Row) -> float:
    """What the watch takes of a step after the first ones, as a share of the bare step."""
    followed = _ratio(row, FOLLOWED)
    asleep = _ratio(row, "")
    assert asleep is not None
    return asleep - 1 if followed is None else ((EVERY - 1) * asleep + followed) / EVERY - 1


def mib(row: Row, when: str = "") -> float:
    """How much higher the watched process's memory was at its peak, in training or in all."""
    return row.extra_mib[WATCHED + when] - row.extra_mib[BARE + when]


def met(results: Results) -> bool:
    """Whether every real step stays within the goals; of the tiny one only the memory counts."""
    light = all(mib(row, when) <= GOAL_MIB for row in results.rows for when in ("", REPORTED))
    return light and all(share(row) <= GOAL_SHARE for row in results.rows if row.case != TINY)


def page(results: Results) -> str:
    """The results in Markdown."""
    facts = {**results.machine, **results.versions}
    lines = [
        f"# watch: {results.machine['cpu']}, {results.settings['threads']} threads, {results.date}",
        "",
        "; ".join(f"{name} {value}" for name, value in facts.items()) + ".",
        "",
        "`likelihead watch` beside the bare script, step by step in turns. After the first"
        f" {FIRST_STEPS} steps the watch follows the tensors of one step in {EVERY}; *cost* counts it with"
        f" its share. `±` is half the distance between the quartiles, over windows of {WINDOW} steps."
        " *Memory* is by how much the peak of the watched process is the higher, at the end of the training"
        f" and with the report. Goals: {GOAL_SHARE:.0%} of a step but the tiny one, {GOAL_MIB:g} MiB:"
        f" {'met' if met(results) else 'missed'}.",
        *results.notes,
        "",
        "| script | bare step | asleep | followed step | cost | memory |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for row in results.rows:
        bare, followed = row.medians[BARE], _ratio(row, FOLLOWED)
        low, asleep, high = spread(_ratios(row, ""))
        cells = (
            f"{row.case}: {row.what}",
            f"{bare * 1e3:.3g} ms",
            f"{asleep - 1:+.1%} ± {(high - low) / 2:.1%} ({(asleep - 1) * bare * 1e6:+.0f} µs)",
            "" if followed is None else f"{followed - 1:+.0%} ({(followed - 1) * bare * 1e3:+.2g} ms)",
            f"**{share(row):+.1%}**",
            f"{mib(row):+.0f} MiB, {mib(row, REPORTED):+.0f} MiB",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _row(script: Script, threads: int, seconds: float) -> Row:
    asleep, followed = _Times(), _Times()
    with (
        _Process([], script, threads) as bare,
        _Process(["-m", "likelihead", "watch", "--quiet"], script, threads) as watched,
    ):
        began, step = perf_counter(), 0
        while step < FIRST_STEPS + LEAST or (step < FIRST_STEPS + MOST and perf_counter() - began < seconds):
            order = (bare, watched) if step % 2 else (watched, bare)
            times = {process: process.step() for process in order}
            took, deep = times[watched]
            if step >= UNMEASURED:
                (followed if deep else asleep).add(times[bare][0], took)
            step += 1
        peaks: dict[str, float] = {}
        for process, which in ((bare, BARE), (watched, WATCHED)):
            peaks[which], peaks[which + REPORTED] = process.end()
    return Row(
        case=script.name,
        what=script.what,
        op="watch",
        shape=[],
        dtype="float32",
        backend="",
        runs=WINDOW,
        seconds={
            **{BARE: asleep.bare, WATCHED: asleep.watched},
            **{BARE + FOLLOWED: followed.bare, WATCHED + FOLLOWED: followed.watched},
        },
        extra_mib=peaks,
    )


def _ratios(row: Row, which: str) -> list[float]:
    """Watched over bare, of each window."""
    bare, watched = row.seconds[BARE + which], row.seconds[WATCHED + which]
    starts = range(0, len(bare) - WINDOW + 1, WINDOW)
    return [sum(watched[at : at + WINDOW]) / sum(bare[at : at + WINDOW]) for at in starts]


def _ratio(row: Row, which: str) -> float | None:
    ratios = _ratios(row, which)
    return spread(ratios)[1] if ratios else None


class _Process:
    """The script, which takes a step when it is told to."""

    def __init__(self, before: Sequence[str], script: Script, threads: int) -> None:
        command = [sys.executable, *before, str(_SCRIPT), script.name, str(threads)]
        self._what = " ".join([*before, script.name])
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> _Process:
        try:
            self._line()
        except BackendError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def step(self) -> tuple[float, bool]:
        """Its seconds, and whether tensors were followed."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        seconds, deep = self._line().split()
        return float(seconds), deep == "1"

    def end(self) -> tuple[float, float]:
        """Let it come to its end; the MiB of its peak in training, and of the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return float(self._line()), float(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            assert self._process.stderr is not None
            last = next(reversed(self._process.stderr.read().strip().splitlines()), "no word why")
            raise BackendError(f"the script {self._what} failed: {last}")
        return line
