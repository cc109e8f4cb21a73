"""One run of the kit, from the processes that it starts to the files that it leaves."""

from __future__ import annotations

import re
import secrets
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import click
import torch
from rich.console import Console

from benchmarks.gpu import behaviour, correct, planted, rates, report, sanitize, search, sweep, table
from benchmarks.gpu.book import Book
from benchmarks.gpu.budget import Budget, Rehearsed
from benchmarks.gpu.cases import CASES
from benchmarks.gpu.device import REHEARSAL
from benchmarks.gpu.kit import Kit
from benchmarks.gpu.peer import PACKAGES
from benchmarks.gpu.work import Outcome, Pool
from likelihead.bench.machine import available_cores, describe, versions
from likelihead.bench.results import Results, read
from likelihead.cli import bench
from likelihead.errors import OptionError

MOST_WORKERS = 12
# A worker compiles by itself, or each would start processes for every core.
ALONE = {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
INTERPRETED = {**ALONE, "TRITON_INTERPRET": "1"}


def check_only(only: str | None) -> None:
    """Refuse a selection that selects nothing.

    Raises:
        OptionError: it is no regular expression, or finds no step.
    """
    if only is None:
        return
    try:
        pattern = re.compile(only)
    except re.error as error:
        raise OptionError(f"--only is {only!r}, which is no regular expression: {error}.") from error
    cases = [case.name for case in CASES]
    names = [f"table/{name}" for name in cases] + [check.name for check in correct.checks()]
    tasks = (
        *sanitize.tasks(0),
        *planted.tasks(0),
        *rates.tasks(),
        *behaviour.tasks(),
        *planted.large_tasks(0),
    )
    names += [task.name for task in (*tasks, *table.warm_tasks(list(CASES)), *sweep.tasks())]
    names += [search.consult_task(*searched).name for searched in search.searched()]
    if not any(pattern.search(name) for name in names):
        raise OptionError(
            f"--only is {only!r}, which finds no step; they begin with sanitizer/, correct/, planted/, "
            f"rates/, table/, sweep/, behaviour/, large/ and search/, and the cases are {', '.join(cases)}."
        )


def run(
    seconds: float,
    *,
    only: str | None,
    rounds: int,
    seed: int | None,
    out: Path | None,
    save: Path | None,
    overwrite: bool,
) -> bool:
    """Run the kit and print what it found; whether nothing was wrong."""
    rehearsal = not torch.cuda.is_available()
    clock = Rehearsed()
    budget = Budget(seconds, clock) if rehearsal else Budget(seconds)
    seed = secrets.randbelow(2**31) if seed is None else seed
    if rehearsal:
        click.echo(REHEARSAL, err=True)
    cores = available_cores()
    size = min(2, cores) if rehearsal else max(1, min(MOST_WORKERS, cores - 2))
    pool = Pool(size, INTERPRETED if rehearsal else ALONE, threads=max(1, cores // size))
    try:
        facts = pool.start()
        results = Results(
            suite="gpu",
            date=datetime.now(timezone.utc).date().isoformat(),
            machine={**describe(), **facts},
            versions=versions(*PACKAGES),
            settings={"budget": f"{seconds:g} s", "seed": seed, "rounds": rounds, "workers": size},
            rows=[],
            notes=[f"{REHEARSAL}."] if rehearsal else [],
        )
        path, page = _files(results, out, save, overwrite, rehearsal)
        book = Book(results, path)
        kit = Kit(
            pool,
            budget,
            book,
            only=only,
            observer=lambda outcome: _say(outcome, budget),
            rehearsed=clock if rehearsal else None,
        )
        kit.run(seed, 1 if rehearsal else rounds)
    finally:
        pool.stop()
    report.show(results, Console())
    if page is not None:
        page.write_text(report.page(results), encoding="utf-8")
    click.echo(f"Saved {path if page is None else f'{path.name} and {page.name}'}.")
    return not any(step.get("status") in ("wrong", "failed", "lost") for step in results.steps)


def _files(
    results: Results, out: Path | None, save: Path | None, overwrite: bool, rehearsal: bool
) -> tuple[Path, Path | None]:
    """The file that is written after each step, and the page that is written in the end."""
    if out is not None and save is None:
        return out, None
    folder = save or (Path(tempfile.mkdtemp(prefix="rehearsal-")) if rehearsal else Path())
    stem = bench.free_stem(results, folder, overwrite)
    return (folder / f"{stem}.json" if out is None else out), folder / f"{stem}.md"


def show_file(path: Path) -> None:
    """Print what a run has left, one that was cut off too."""
    report.show(read(path), Console())


def _say(outcome: Outcome, budget: Budget) -> None:
    """A line for what is worth one."""
    quiet = outcome.name.startswith(("correct/", "search/", "planted/")) or outcome.status == "skipped"
    if outcome.status != "right" or not quiet:
        if outcome.status == "skipped":
            return
        click.echo(
            f"{budget.spent():6.1f} s  {outcome.status:6} {outcome.name} {outcome.message[:200]}", err=True
        )
