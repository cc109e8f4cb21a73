"""All that a few minutes on a rented card allow, the most valuable first."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Protocol

from benchmarks.gpu import behaviour, correct, planted, rates, sanitize, search, sweep, table
from benchmarks.gpu.book import Book
from benchmarks.gpu.budget import Budget, Rehearsed
from benchmarks.gpu.cases import CASES
from benchmarks.gpu.work import Outcome, Task

#: The share of the budget by whose end a stage is to be over.
SHARES = {
    "correct": 0.36,
    "rates": 0.38,
    "compile": 0.48,
    "table": 0.68,
    "sweep": 0.75,
    "behaviour": 0.8,
    "large": 0.86,
    "again": 0.98,
    "search": 0.98,
}
GIB_OF_LARGE = 24
TIMED = ("rates", "table", "sweep")
REHEARSED = 4  # checks of each group
MOST_REHEARSED = 10_000  # elements


class Workers(Protocol):
    """What does the work: `benchmarks.gpu.work.Pool`, or a stand-in."""

    size: int

    def alone(self, task: Task, patience: float) -> Outcome: ...

    def together(
        self,
        tasks: Sequence[Task],
        patience: Callable[[Task], float | None],
        done: Callable[[Task, Outcome | None], object],
        most: int | None = None,
    ) -> None: ...


class Kit:
    """The steps, within a budget.

    Args:
        workers: do them.
        budget: of seconds.
        book: keeps what they find.
        only: a regular expression; steps whose name it does not find are left out.
        observer: told of each outcome.
        rehearsed: the clock of a rehearsal, which runs by the steps' estimates, so that all of them fit.
    """

    def __init__(
        self,
        workers: Workers,
        budget: Budget,
        book: Book,
        *,
        only: str | None = None,
        observer: Callable[[Outcome], object] = lambda outcome: None,
        rehearsed: Rehearsed | None = None,
    ) -> None:
        self._workers = workers
        self._budget = budget
        self._book = book
        self._only = re.compile(only or "")
        self._observer = observer
        self._rehearsed = rehearsed
        self._pace = 1.0
        self._left_out: list[Task] | None = []
        self._memory = int(book.results.machine["memory_gib"])

    def together(self, tasks: Sequence[Task], stage: str, most: int | None = None) -> list[Outcome]:
        """Do tasks, several at a time; their outcomes in the same order."""
        outcomes: dict[str, Outcome] = {}

        def done(task: Task, outcome: Outcome | None) -> None:
            outcomes[task.name] = self._keep(task, outcome, stage)

        most = None if most is None else max(1, most)
        self._workers.together(tasks, lambda task: self._patience(task, stage), done, most)
        return [outcomes[task.name] for task in tasks]

    def alone(self, task: Task, stage: str) -> Outcome:
        """Do a task while nothing else runs."""
        patience = self._patience(task, stage)
        return self._keep(task, None if patience is None else self._workers.alone(task, patience), stage)

    def _patience(self, task: Task, stage: str) -> float | None:
        """Seconds that a task may take before it is lost; None if it does not fit."""
        if self._rehearsed is not None:
            return task.patience if self._budget.fits(self._pace * task.estimate) else None
        if not self._budget.fits(task.estimate, SHARES[stage]):
            return None
        return max(1.0, min(task.patience, self._budget.left(SHARES["search"])))

    def _keep(self, task: Task, outcome: Outcome | None, stage: str) -> Outcome:
        if outcome is None:
            left = max(self._budget.left(SHARES[stage]), 0)
            words = f"{task.estimate:g} s do not fit into the {left:.0f} s that are left for {stage}"
            outcome = Outcome(task.name, "skipped", estimate=task.estimate, message=words)
            if self._left_out is not None:
                self._left_out.append(task)
                return outcome
        elif self._rehearsed is not None:
            self._rehearsed.advance(self._pace * task.estimate)
        self._book.add(outcome)
        self._observer(outcome)
        return outcome

    def run(self, seed: int, rounds: int) -> None:
        """All stages."""
        cases = list(CASES)
        checks = [correct.task_of(check, seed) for check in _checks(self._rehearsed is not None)]
        # The sanitizer takes one process for long: it is begun first and made beside the others.
        checks = [*sanitize.tasks(seed), *checks, *planted.tasks(seed)]
        stages: list[tuple[str, list[Task]]] = [
            ("correct", checks),
            ("rates", list(rates.tasks())),
            ("compile", [*table.warm_tasks(cases), *sweep.compile_tasks()]),
            ("table", list(table.timed_tasks(cases, rounds))),
            ("sweep", list(sweep.tasks())),
            ("behaviour", list(behaviour.tasks())),
            ("large", list(planted.large_tasks(seed))),
        ]
        if self._rehearsed is not None:
            # Sizes are small and alike, and graphs take their time to be made: a few stand for all.
            few = [(stage, _few(tasks, "sweep/", 8)) for stage, tasks in stages]
            stages = [(stage, _few(tasks, "behaviour/one graph/", 3)) for stage, tasks in few]
            planned = sum(task.estimate for _, tasks in stages for task in tasks)
            self._pace = 0.8 * self._budget.seconds / planned
        for stage, tasks in stages:
            self._stage(stage, tasks)
        # What a stage left to the others, before the search takes the rest.
        left_out, self._left_out = self._left_out, None
        for stage, tasks in stages:
            self._stage("again", [task for task in tasks if task in left_out], stage)
        self._search()

    def _stage(self, stage: str, tasks: Sequence[Task], kind: str | None = None) -> None:
        kind = kind or stage
        wanted = [task for task in tasks if self._only.search(task.name)]
        if kind not in TIMED:
            self.together(wanted, stage, self._memory // GIB_OF_LARGE if kind == "large" else None)
            return
        for task in wanted:
            self.alone(task, stage)

    def _search(self) -> None:
        done: set[tuple[str, str]] = set()
        for case, route in search.searched() if self._rehearsed is None else search.REHEARSED:
            task = search.consult_task(case, route)
            if not self._only.search(task.name):
                continue
            rows = self.alone(task, "search")
            if rows.status != "right":
                continue
            for place, start, space in search.searches(rows.found, case, route):
                if (place.kernel, place.bucket) not in done:
                    done.add((place.kernel, place.bucket))
                    self._descend(place, start, space)

    def _descend(self, place: search.Place, start: search.Values, space: dict[str, list[int]]) -> None:
        found = search.descend(
            place,
            start,
            {field: values[:2] for field, values in space.items()} if self._rehearsed is not None else space,
            lambda task: self.alone(task, "search"),
            lambda tasks: self.together(tasks, "search", search.workers_for(place.case, self._memory)),
        )
        if found is not None:
            self._book.add_tunable(found)


def _few(tasks: list[Task], group: str, each: int) -> list[Task]:
    """Of the tasks of a group one in so many; all others."""
    chosen = [task for task in tasks if task.name.startswith(group)][::each]
    return [task for task in tasks if task in chosen or not task.name.startswith(group)]


def _checks(rehearsed: bool) -> list[correct.Check]:
    """The checks; in a rehearsal a few small ones of each group."""
    checks = list(correct.checks())
    if not rehearsed:
        return checks
    groups: dict[str, list[correct.Check]] = {}
    for check in checks:
        if math.prod(check.shape) <= MOST_REHEARSED:
            groups.setdefault(check.group, []).append(check)
    return [check for group in groups.values() for check in group[:: math.ceil(len(group) / REHEARSED)]]
