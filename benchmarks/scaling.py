"""How the time and the memory of a head's loss grow with the tokens and with the classes: ours alone.

The logits of most of these cases fit into no memory, so there is nothing to stand beside; the formulas of
`likelihead.bench.linear_memory` are what the peaks are compared with. Time and peak are measured in processes
apart: where the peak is, every buffer goes back to the system when it is freed, and costs its pages again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from math import exp, log
from statistics import linear_regression
from time import perf_counter
from typing import Literal

import torch

from likelihead.bench.case import OURS, short_dtype
from likelihead.bench.clock import spread
from likelihead.bench.linear_memory import DTYPES, Sizes, gradients, ours, routes
from likelihead.bench.machine import describe, versions
from likelihead.bench.memory import _ALLOCATOR, extra_mib
from likelihead.bench.results import Results, Row
from likelihead.bench.run import _busy
from likelihead.errors import BackendError

WIDTH = 768
TOKENS = tuple(Sizes(tokens, 50257, WIDTH) for tokens in (1024, 2048, 4096, 8192, 32768))
CLASSES = tuple(Sizes(2048, classes, WIDTH) for classes in (4096, 16384, 65536, 262144))
SECONDS = 8.0  # for the runs of one size
FEWEST, MOST = 2, 7  # runs
SHARE, MIB = 0.05, 6.0  # by which a peak may be off its formula: a product of 2048 classes has so many

What = Literal["time", "memory"]


def measure(dtype: torch.dtype, threads: int, observer: Callable[[Sizes], object]) -> Results:
    """Measure all sizes, each in processes of its own.

    Raises:
        BackendError: a process failed.
    """
    notes, rows = _busy(), []
    for sizes in (replace(sizes, dtype=dtype) for sizes in (*TOKENS, *CLASSES)):
        observer(sizes)
        rows.append(
            Row(
                case=_name(sizes),
                what=f"linear CE, hidden [{sizes.tokens}, {sizes.width}], vocab {sizes.classes}",
                op="linear_softmax_nll",
                shape=[sizes.tokens, sizes.classes],
                dtype=str(dtype).removeprefix("torch."),
                backend="",
                runs=1,
                seconds={OURS: _measured("time", sizes, threads)},
                extra_mib={OURS: _measured("memory", sizes, threads)[0]},
            )
        )
    short = short_dtype(dtype)
    return Results(
        suite="scaling" if short == "f32" else f"scaling-{short}",
        date=datetime.now(timezone.utc).date().isoformat(),
        machine=describe(),
        versions=versions(),
        settings={"threads": threads, "width": WIDTH},
        rows=rows,
        notes=notes,
    )


def _name(sizes: Sizes) -> str:
    return f"{sizes.tokens} x {sizes.classes}"


def _measured(what: What, sizes: Sizes, threads: int) -> list[float]:
    numbers = map(str, (sizes.tokens, sizes.classes, sizes.width, threads))
    dtype = str(sizes.dtype).removeprefix("torch.")
    command = [sys.executable, "-m", "benchmarks.scaling", what, dtype, *numbers]
    environment = os.environ | (_ALLOCATOR if what == "memory" else {})
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        last = next(reversed(done.stderr.strip().splitlines()), "no word why")
        raise BackendError(f"the process that measures the {what} of {_name(sizes)} failed: {last}")
    figures: list[float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def off(results: Results) -> list[str]:
    """The sizes whose peak is not that of its formula."""
    return [
        row.case
        for row in results.rows
        if abs(row.extra_mib[OURS] - _formula(row)) > max(MIB, SHARE * _formula(row))
    ]


def page(results: Results) -> str:
    """The results in Markdown."""
    facts = {**results.machine, **results.settings, **results.versions}
    wrong = off(results)
    peaks = f"Peaks are within {SHARE:.0%} of their formula"
    lines = [
        f"# {results.suite}: {results.machine['cpu']}, {results.settings['threads']} threads, {results.date}",
        "",
        "; ".join(f"{name} {value}" for name, value in facts.items()) + ".",
        "",
        "A linear head and its cross-entropy, from the hidden states to all gradients: the median of the"
        " runs, and half the distance of their quartiles.",
        *(_growth(results.rows, axis) for axis in (0, 1)),
        f"{peaks}{', but ' + ', '.join(wrong) if wrong else ''}. The memory is beyond the inputs.",
        *results.notes,
    ]
    headings = (
        *("tokens", "classes", "time", "±", "runs", "per token and 1000 classes", "peak", "by the formula"),
        *("beside the gradients", "eager's by its formula"),
    )
    lines += ["", f"| {' | '.join(headings)} |", f"|{'--:|' * len(headings)}"]
    return "\n".join([*lines, *map(_line, results.rows)]) + "\n"


def _growth(rows: Sequence[Row], axis: int) -> str:
    """How the time grows with the tokens (axis 0) or the classes, at the other size that most rows have."""
    names, others = ("tokens", "classes"), [row.shape[1 - axis] for row in rows]
    most = max(others, key=others.count)
    chosen = [row for row in rows if row.shape[1 - axis] == most]
    sizes, each = [row.shape[axis] for row in chosen], [_microseconds(row) for row in chosen]
    words = f"From {min(sizes)} to {max(sizes)} {names[axis]} ({most} {names[1 - axis]})"
    power = linear_regression([log(size) for size in sizes], [log(row.medians[OURS]) for row in chosen]).slope
    mean = exp(sum(map(log, each)) / len(each))
    return (
        f"{words} the time grows by their power of {power:.3f}: {mean:.2f} µs per token and 1000 classes, the"
        f" largest {max(each) / min(each):.2f} times the smallest."
    )


def _line(row: Row) -> str:
    sizes, mib = _sizes(row), row.extra_mib[OURS]
    low, median, high = spread(row.seconds[OURS])
    eager = next(route.backward for route in routes(sizes) if route.name == "torch eager") / 2**20
    cells = (
        *(str(sizes.tokens), str(sizes.classes), f"{median:.3g} s", f"{(high - low) / 2 / median:.1%}"),
        *(str(len(row.seconds[OURS])), f"{_microseconds(row):.2f} µs"),
        *(f"{mib:.0f} MiB", f"{_formula(row):.0f} MiB", f"{mib - gradients(sizes) / 2**20:.0f} MiB"),
        f"{eager:.0f} MiB",
    )
    return f"| {' | '.join(cells)} |"


def _sizes(row: Row) -> Sizes:
    return Sizes(row.shape[0], row.shape[1], WIDTH, DTYPES[row.dtype])


def _formula(row: Row) -> float:
    return ours(_sizes(row)).backward / 2**20


def _microseconds(row: Row) -> float:
    """Per token and 1000 classes."""
    return row.medians[OURS] / (row.shape[0] * row.shape[1]) * 1e9


def _steps(what: What, sizes: Sizes) -> Iterator[float]:
    """Seconds of each run, or MiB of one."""
    from likelihead.bench.contenders import Contender
    from likelihead.functional import linear_cross_entropy

    hidden, head = (
        torch.randn(rows, sizes.width).to(sizes.dtype).requires_grad_()
        for rows in (sizes.tokens, sizes.classes)
    )
    target = torch.randint(sizes.classes, (sizes.tokens,))

    def step() -> None:
        linear_cross_entropy(hidden, head, target).backward()  # type: ignore[no-untyped-call]

    def drop() -> None:
        hidden.grad = head.grad = None

    # What is paged in once, on a few tokens.
    linear_cross_entropy(hidden[:512], head, target[:512]).backward()  # type: ignore[no-untyped-call]
    if what == "memory":
        yield extra_mib(Contender(OURS, step, drop), untimed=False)
        return
    begun = perf_counter()
    for run in range(MOST):
        drop()
        start = perf_counter()
        if run >= FEWEST and start - begun > SECONDS:
            return
        step()
        yield perf_counter() - start


def _main(what: What, dtype: str, *numbers: str) -> None:
    *sizes, threads = map(int, numbers)
    torch.set_num_threads(threads)
    print(json.dumps(list(_steps(what, Sizes(*sizes, DTYPES[dtype])))))


if __name__ == "__main__":
    _main(*sys.argv[1:])  # type: ignore[arg-type]
