"""What a linear head without its logits would take on a GPU: the products by their rate, the rest counted.

The kernels' times are the table's own, of machine code, shared out to the tokens. The products are the
vendor's: their rate is the one that published times of bare products imply. All else is counted: the bytes of
the float32 sum of the head's gradient over the chunks, those of its rounding, and launches. The chunks are
those that `likelihead.kernels.fused` would make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from benchmarks.machine_code.prediction import LAUNCH, REACHED
from benchmarks.machine_code.rates import Card
from likelihead.kernels.fused.linear_chunks import chunk_rows
from likelihead.kernels.fused.products import even_chunks

WIDTH, CLASSES, DTYPE = 4096, 128256, torch.bfloat16
SIZE, SUM_SIZE = 2, 4  # bytes of a number, and of one of a sum
GOAL = 1.05  # of the products
ROOM = 2**30  # bytes beside the gradients
LAUNCHES, OF_A_CHUNK = 12, 8  # of small kernels, a call and a chunk: masks, values, the mean, the products

# Seconds of three bare products that others have published, with tokens, width and classes.
PUBLISHED = {
    "H200": (13.0e-3, 4096, 4096, 128256),
    "H100 SXM": (42e-3, 8192, 4096, 151936),
}


@dataclass(frozen=True)
class Route:
    """A way through the loop over the chunks.

    Attributes:
        name: of the case, as in the GPU's table.
        forward: kernels of a pass of its own that makes values, with its product of the logits.
        kernels: of the pass that makes the gradients.
        logits: products that make logits in that pass: two of a student and its teacher.
        trained: whether the head is.
        counting: the share of the tokens that are not ignored, which the floor is of.
        compact: whether the others leave before the products.
    """

    name: str
    forward: str | None = None
    kernels: str = "softmax_nll_"
    logits: int = 1
    trained: bool = True
    counting: float = 1.0
    compact: bool = False


ROUTES = (
    Route("linear"),
    Route("linear-sft, masked", counting=0.25),
    Route("linear-sft, compacted", counting=0.25, compact=True),
    Route("linear-frozen", trained=False),
    Route("linear-per-token", forward="softmax_nll"),
    Route("log-probs", forward="softmax_scores_ values", kernels="softmax_scores_"),
    Route("linear-kl", kernels="softmax_kl_", logits=2),
)
TOKENS = (4096, 8192, 32768)

# What stands in for a kernel that the table has no row of, and by how many bytes it moves more.
_STAND_INS = {
    "softmax_scores_ values": ("softmax_nll", 1.0),
    "softmax_scores_": ("softmax_nll_", 1.0),
    "softmax_kl_": ("softmax_nll_", 1.5),  # reads the teacher's logits too
}


class KernelRow(Protocol):
    """What is asked of a row of the kernels' table."""

    @property
    def case(self) -> str: ...
    @property
    def op(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def card(self) -> str: ...
    @property
    def total(self) -> float: ...


@dataclass(frozen=True)
class HeadRow:
    """A head on a card; times in milliseconds.

    Attributes:
        products: those that are made.
        kernels: of all chunks.
        sums: of the float32 sum of the head's gradient, beyond what a product writes anyway.
        rounding: of that sum.
        rest: launches, and the hidden states with those of ignored tokens set to 0.
        least: of all, where the sums hide behind the products that make them.
        most: of all, where they do not.
        floor: the products of the tokens that count.
        peak: bytes beyond the inputs.
        room: bytes of the gradients and `ROOM`.
        stand_in: whose time stands for that of a kernel that the table has no row of.
    """

    case: str
    card: str
    tokens: int
    chunks: int
    products: float
    kernels: float
    sums: float
    rounding: float
    rest: float
    floor: float
    peak: int
    room: int
    stand_in: str

    @property
    def least(self) -> float:
        return max(self.products, self.sums) + self.kernels + self.rounding + self.rest

    @property
    def most(self) -> float:
        return self.products + self.sums + self.kernels + self.rounding + self.rest


def rate(card: Card) -> float:
    """Operations per second of a product in bfloat16, as a published time of three implies."""
    seconds, tokens, width, classes = PUBLISHED[card.name]
    return 3 * 2 * tokens * width * classes / seconds


def head_rows(found: Sequence[KernelRow], cards: Sequence[Card]) -> list[HeadRow]:
    """All routes at 8192 tokens and the loss at others; of the cards whose kernels were found."""
    rows = []
    for card in cards:
        each = _seconds_per_token(found, card)
        if {"softmax_nll", "softmax_nll_"} <= set(each):
            rows += [row_of(ROUTES[0], tokens, card, each) for tokens in TOKENS]
            rows += [row_of(route, 8192, card, each) for route in ROUTES[1:]]
    return rows


def _seconds_per_token(found: Sequence[KernelRow], card: Card) -> dict[str, float]:
    """Of each op by its first row, and of those that have one without gradients, by that."""
    each: dict[str, float] = {}
    for row in found:
        if row.card == card.name and row.dtype == "bf16" and row.shape[1:] == (CLASSES,):
            name = row.op + " values" * row.case.endswith("-values")
            each.setdefault(name, row.total * 1e-6 / row.shape[0])
    return each


def row_of(route: Route, tokens: int, card: Card, each: Mapping[str, float]) -> HeadRow:
    """The prediction of one route.

    Args:
        route: through the loop.
        tokens: N, of which those of ``route.counting`` are not ignored.
        card: with the rate of its products.
        each: seconds per token of each kernel.
    """
    counting = round(tokens * route.counting)
    count = counting if route.compact else tokens
    step = chunk_rows(torch.empty(0, device="meta"), CLASSES, 0)
    head = torch.empty(CLASSES, WIDTH, dtype=DTYPE, device="meta")
    values_step = step
    if route.trained:
        step = even_chunks(count, step, head, route.logits)
    chunks, numbers = -(-count // step), CLASSES * WIDTH
    bandwidth = REACHED * card.bytes_per_second
    product = 2 * WIDTH * CLASSES / rate(card)
    made = route.logits + 1 + route.trained + (route.forward is not None)
    used = [name for name in (route.forward, route.kernels) if name is not None]
    stands = {name: _STAND_INS[name] for name in used if name not in each}
    kernels = sum(each[stands[n][0]] * stands[n][1] if n in stands else each[n] for n in used)
    summed = route.trained and chunks > 1
    # The first chunk writes its sum where a product alone would write 16 bits; each other reads it as well.
    sums = numbers * (SUM_SIZE * (2 * chunks - 1) - SIZE) if summed else 0
    rounding = numbers * (SUM_SIZE + SIZE) if summed else 0
    launches = LAUNCHES + OF_A_CHUNK * (chunks + (-(-count // values_step) if route.forward else 0))
    masked = 2 * count * WIDTH * SIZE * len(used)
    of_chunk, of_hidden = route.logits * min(step, count) * CLASSES * SIZE, tokens * WIDTH * SIZE
    of_head = numbers * SIZE if route.trained else 0
    in_loop = of_chunk + (numbers * SUM_SIZE if summed else of_head)
    return HeadRow(
        case=route.name,
        card=card.name,
        tokens=tokens,
        chunks=chunks,
        products=1e3 * made * product * count,
        kernels=1e3 * kernels * count,
        sums=1e3 * sums / bandwidth,
        rounding=1e3 * rounding / bandwidth,
        rest=1e3 * (launches * LAUNCH + masked / bandwidth),
        floor=1e3 * made * product * counting,
        peak=of_hidden + max(in_loop, numbers * (SUM_SIZE + SIZE) if summed else 0),
        room=of_hidden + of_head + ROOM,
        stand_in=", ".join(f"{name}: {other} x {times:g}" for name, (other, times) in stands.items()),
    )


_HEAD = (
    *("case", "tokens", "chunks", "products", "kernels", "sums", "rounding", "rest", "predicted"),
    *("times products", f"within {GOAL}", "peak, MiB", "gradients + 1 GiB"),
)


def section(rows: Sequence[HeadRow], cards: Sequence[Card]) -> list[str]:
    """The lines of Markdown."""
    lines = [
        "",
        "## Linear heads",
        "",
        f"A head of width {WIDTH} and {CLASSES} classes in bfloat16 and its loss, from the hidden states to"
        " all gradients, in milliseconds. Assumed: products at the rate that published times of three bare"
        f" ones imply, {_rates(cards)}. Counted: the bytes of the float32 sum of the head's gradient"
        " (written for the first chunk, read and written for each other) and of its rounding, and"
        f" {1e6 * LAUNCH:g} µs for each launch. The kernels are those of the tables above. From ... to: the"
        " sums hide behind the products that make them, or do not. With slower products all ratios are nearer"
        " to 1. A single chunk needs no sum, and takes as much memory as one would; more than 1 GiB beside"
        f" the gradients is the sum itself: {CLASSES * WIDTH * SUM_SIZE / 2**20:.0f} MiB for a gradient of"
        f" {CLASSES * WIDTH * SIZE / 2**20:.0f}. Masked: ignored tokens are computed as zeros, since to know"
        " how many they are is to wait for the device; compacted: with `compact=True`, without that waiting.",
        "",
        *verdict(rows),
    ]
    stands = sorted({one for row in rows for one in row.stand_in.split(", ") if one})
    if stands:
        lines += ["", f"Without a kernel in the tables, by another's time: {'; '.join(stands)}."]
    for card in cards:
        of_card = [row for row in rows if row.card == card.name]
        lines += ["", f"### {card.name}", "", _line(_HEAD), _line(["---", *["--:"] * (len(_HEAD) - 1)])]
        lines += [_line(_cells(row)) for row in of_card]
    return lines


def _rates(cards: Sequence[Card]) -> str:
    return ", ".join(f"{rate(card) / 1e12:.0f} teraflops on an {card.name}" for card in cards)


def verdict(rows: Sequence[HeadRow]) -> list[str]:
    """Whether the goal of the linear loss is met, and what is in the way."""
    lines = []
    for row in (row for row in rows if row.case == "linear"):
        low, high = row.least / row.floor, row.most / row.floor
        met = "yes" if high <= GOAL else "no" if low > GOAL else "only where the sums hide"
        over = {"kernels": row.kernels, "sums": row.sums, "rounding": row.rounding, "rest": row.rest}
        worst = max(over, key=lambda name: over[name])
        lines.append(
            f"- {row.card}, {row.tokens} tokens: within {GOAL} of its three products? {met}"
            f" ({_range(low, high)}). Most of the rest: {worst}, {over[worst] / row.floor:.1%} of the"
            " products."
            f" Memory within the gradients and 1 GiB? {'yes' if row.peak <= row.room else 'no'}."
        )
    return lines


def _range(low: float, high: float) -> str:
    return f"{low:.3f}" if f"{low:.3f}" == f"{high:.3f}" else f"{low:.3f} to {high:.3f}"


def _cells(row: HeadRow) -> list[str]:
    low, high = row.least / row.floor, row.most / row.floor
    met = "yes" if high <= GOAL else "no" if low > GOAL else "if hidden"
    total = f"{row.least:.2f}" if row.least == row.most else f"{row.least:.2f} to {row.most:.2f}"
    return [
        *(row.case, str(row.tokens), str(row.chunks)),
        *(f"{time:.2f}" for time in (row.products, row.kernels, row.sums, row.rounding, row.rest)),
        *(total, _range(low, high), met, f"{row.peak / 2**20:.0f}", f"{row.room / 2**20:.0f}"),
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
