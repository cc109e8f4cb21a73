"""`python -m benchmarks predict`: what a GPU that is not here would take, from the machine code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.machine_code.calls import CALLS, CASES, Call, Kernel, compiled
from benchmarks.machine_code.heads import head_rows, rate, section
from benchmarks.machine_code.parallel import compile_all
from benchmarks.machine_code.prediction import (
    LAUNCH,
    bytes_in_flight,
    exponentials,
    floor,
    per_element,
    predict,
)
from benchmarks.machine_code.rates import CARDS, LANES, Card
from likelihead.bench.case import short_dtype
from likelihead.bench.cases import select
from likelihead.errors import BackendError

TITLE = "Predicted, not measured: losses on GPUs, from their machine code"


@dataclass(frozen=True)
class Row:
    """A call on a card.

    Attributes:
        case, op, shape, dtype, card: of the call.
        launches: how many kernels it takes.
        kernel: the one that handles the logits.
        bytes_per_element: that the device memory moves, over all launches.
        instructions_per_element: of all passes.
        exponentials_per_element: of all passes.
        registers: per thread.
        programs: side by side on a multiprocessor.
        kib_in_flight: that a multiprocessor has asked for at once.
        microseconds: by what could bound the call; the launches' sum of each.
        total: microseconds of the call.
        floor: microseconds of a copy of the logits.
        bound: by what, for most of the time.
    """

    case: str
    op: str
    shape: tuple[int, ...]
    dtype: str
    card: str
    launches: int
    kernel: str
    bytes_per_element: float
    instructions_per_element: float
    exponentials_per_element: float
    registers: int
    programs: int
    kib_in_flight: float
    microseconds: dict[str, float]
    total: float
    floor: float
    bound: str


def calls_found(only: str | None) -> list[Call]:
    """The calls of the cases that the regular expression finds.

    Raises:
        OptionError: it is no regular expression, or finds none.
    """
    # Calls of a head's chunk have a name, and no case among the losses of logits.
    names = dict.fromkeys(call.case for call in CALLS)
    found = {case.name for case in select(only, [replace(CASES[0], name=name) for name in names])}
    return [call for call in CALLS if call.case in found]


def compile_calls(calls: Sequence[Call], target: str, cache: str) -> list[list[Kernel]]:
    return compile_all(partial(compiled, target=target), calls, cache=cache)


def row_of(kernels: Sequence[Kernel], card: Card) -> Row:
    """The prediction of one call from its launches."""
    call = kernels[0].call
    predictions = [predict(kernel.work, card) for kernel in kernels]
    main_kernel, main = max(
        zip(kernels, predictions, strict=True), key=lambda pair: (bool(pair[0].reading.passes), pair[1].total)
    )
    work, reading = main_kernel.work, main_kernel.reading
    elements = work.rows * work.classes
    names = sorted({name for one in predictions for name in one.seconds})
    return Row(
        case=call.case,
        op=call.op,
        shape=call.shape,
        dtype=short_dtype(call.dtype),
        card=card.name,
        launches=len(kernels),
        kernel=work.kernel,
        bytes_per_element=sum(one.bytes for one in predictions) / elements,
        instructions_per_element=per_element(reading),
        exponentials_per_element=exponentials(reading),
        registers=work.resources.registers,
        programs=work.resident(card.target),
        kib_in_flight=work.resident(card.target) * work.resources.threads * bytes_in_flight(reading) / 1024,
        microseconds={
            name: round(1e6 * sum(one.seconds.get(name, 0.0) for one in predictions), 2) for name in names
        },
        total=1e6 * (sum(one.total for one in predictions) + LAUNCH * (len(kernels) - 1)),
        floor=1e6 * floor(elements * work.itemsize, card),
        bound="memory, twice" if main.reads_again and main.bound == "memory" else main.bound,
    )


def rows(calls: Sequence[Call] = CALLS, cards: Sequence[Card] = CARDS) -> list[Row]:
    """Of every call, card by card.

    Raises:
        BackendError: Triton is not installed.
    """
    if find_spec("triton") is None:
        raise BackendError(
            "there is no triton to compile the kernels with; it has wheels for Linux on x86-64 and aarch64"
            " (pip install triton)."
        )
    with TemporaryDirectory(prefix="predict-") as cache:
        by_target = {
            target: compile_calls(calls, target, cache) for target in sorted({card.target for card in cards})
        }
    return [row_of(kernels, card) for card in cards for kernels in by_target[card.target] if kernels]


def text_of(found: Sequence[Row]) -> str:
    """As JSON."""
    content = {
        "predicted": True,
        "triton": version("triton"),
        "cards": [asdict(card) for card in CARDS],
        "rows": [asdict(row) for row in found],
        "products_per_second": {card.name: rate(card) for card in CARDS},
        "heads": [
            {**asdict(head), "least": head.least, "most": head.most} for head in head_rows(found, CARDS)
        ],
    }
    return json.dumps(content, indent=1, default=str) + "\n"


_HEAD = (
    "case",
    "op",
    "bytes per element",
    "instructions",
    "exponentials",
    "registers",
    "programs",
    "KiB in flight",
    "memory",
    "L2",
    "issue",
    "busiest unit",
    "predicted",
    "times copy",
    "bound by",
)


def table_of(found: Sequence[Row]) -> str:
    """As Markdown, a table for each card."""
    lines = [
        f"# {TITLE}",
        "",
        f"No GPU was at hand: this is what `python -m benchmarks predict` makes of the code that Triton"
        f" {version('triton')} compiles for each call of the benchmarks, by the model of"
        " [decision 29](../../../docs/decisions/0029-predicted-times.md). Times are in microseconds;"
        " instructions and exponentials are per element, over all passes; programs and KiB in flight are per"
        " multiprocessor; *times copy* is the predicted time over that of copying the logits.",
    ]
    for card, of_card in groupby(found, key=lambda row: row.card):
        lines += ["", f"## {card}", "", _line(_HEAD), _line(["---"] * 2 + ["--:"] * 12 + ["---"])]
        lines += [_line(_cells(row)) for row in of_card]
    heads = head_rows(found, CARDS)
    if heads:
        lines += section(heads, CARDS)
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: Row) -> list[str]:
    units = {name: time for name, time in row.microseconds.items() if name in LANES and name != "issue"}
    busiest = max(units, key=lambda name: units[name], default="")
    return [
        f"{row.case} {list(row.shape)} {row.dtype}",
        row.op,
        f"{row.bytes_per_element:.1f}",
        f"{row.instructions_per_element:.1f}",
        f"{row.exponentials_per_element:.2g}",
        str(row.registers),
        str(row.programs),
        f"{row.kib_in_flight:.0f}",
        f"{row.microseconds['memory']:.4g}",
        f"{row.microseconds['l2']:.4g}",
        f"{row.microseconds['issue']:.4g}",
        f"{busiest} {units[busiest]:.4g}" if busiest else "",
        f"{row.total:.4g}",
        f"{row.total / row.floor:.2f}",
        row.bound,
    ]


def write(found: Sequence[Row], folder: Path) -> list[Path]:
    """Write both, under names that say what they are."""
    written = []
    for suffix, text in ((".md", table_of(found)), (".json", text_of(found))):
        path = folder / f"predicted{suffix}"
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
