"""How long a launch should take on a GPU, from its bytes and its machine code.

docs/decisions/0029-predicted-times.md has the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.machine_code.compiler import Resources
from benchmarks.machine_code.rates import ISSUE, LANES, MULTIPROCESSORS, Card
from benchmarks.machine_code.reading import Reading, is_exponential

REACHED = 0.9  # of the memory's bandwidth, by a copy
LATENCY = 0.8e-6  # seconds from a read of the device memory to its value, under load
L2_LATENCY = 0.3e-6  # the same of the L2
LAUNCH = 2e-6  # seconds that a further kernel in a stream adds: the last one drains, the next one fills
L2_RATE = 0.6 * 5120  # bytes per clock: what NVIDIA gives for an A100 (none for an H100), and what is reached
KEPT = 0.7  # of the L2: the rest is for what is written meanwhile


@dataclass(frozen=True)
class Work:
    """A compiled launch with the sizes that it is launched over.

    Attributes:
        kernel: its name.
        programs: of the grid.
        rows: examples, or examples times pixels.
        classes: of the logits.
        by_rows: whether a program handles whole rows, so that what a row leaves of a block is wasted.
        itemsize: bytes of a logit.
        read: bytes of all tensors that the kernel reads, each counted once.
        written: bytes of all tensors that it writes.
        resources: of a program.
        reading: of its machine code.
        tensors: of the logits' size, which every pass reads.
    """

    kernel: str
    programs: int
    rows: int
    classes: int
    by_rows: bool
    itemsize: int
    read: int
    written: int
    resources: Resources
    reading: Reading
    tensors: int = 1

    @property
    def elements(self) -> int:
        return self.rows * self.classes if self.reading.passes else 0

    def covered(self, granule: int) -> int:
        """The elements, with the lanes that have none, where a program handles ``granule`` in a round."""
        if not self.by_rows:
            return self.elements
        padded = 1 << (self.classes - 1).bit_length()
        if granule >= padded:
            at_once = granule // padded
            return -(-self.rows // at_once) * granule
        return self.rows * -(-self.classes // granule) * granule

    def rounds(self) -> int:
        """How often the code around the passes is executed, by all programs together."""
        granules = [one.granule * self.resources.threads for one in self.reading.passes]
        if not self.by_rows or not granules:
            return self.programs
        padded = 1 << (self.classes - 1).bit_length()
        return max(self.programs, -(-self.rows // max(1, min(granules) // padded)))

    def instructions(self) -> dict[str, float]:
        """Executed by all threads together, by the unit that executes them, and "issue" in sum."""
        by_unit: Counter[str] = Counter()
        for one in self.reading.passes:
            covered = self.covered(one.granule * self.resources.threads)
            for unit, per_element in one.units().items():
                by_unit[unit] += per_element * covered  # type: ignore[assignment]
        around = self.reading.around * self.rounds() * self.resources.threads
        return {**by_unit, "issue": sum(by_unit.values()) + around}

    def resident(self, target: str) -> int:
        held = self.resources
        return MULTIPROCESSORS[target].resident(held.registers, held.shared, held.threads)


@dataclass(frozen=True)
class Prediction:
    """Seconds of one launch, by what could bound it.

    Attributes:
        seconds: "memory", "l2", "issue", the units of `rates.LANES`, "latency".
        bytes: that the device memory moves.
        reads_again: whether a later pass finds in the device memory, not in the L2, what an earlier one read.
    """

    seconds: Mapping[str, float]
    bytes: int
    reads_again: bool

    @property
    def bound(self) -> str:
        return max(self.seconds, key=lambda name: self.seconds[name])

    @property
    def total(self) -> float:
        return max(self.seconds.values())


def predict(work: Work, card: Card) -> Prediction:
    """What bounds a launch, and for how long.

    Each of the bounds alone is the least time that it allows; the launch takes the greatest of them.
    """
    passes = sum(1 for one in work.reading.passes if one.loads)
    at_once = min(work.programs, card.multiprocessors * max(1, work.resident(card.target)))
    row_bytes = work.classes * work.itemsize * work.tensors
    reads_again = passes > 1 and at_once * row_bytes > KEPT * card.l2_bytes
    further = max(0, passes - 1) * work.elements * work.itemsize * work.tensors
    again = further if reads_again else 0
    moved = work.read + work.written + again
    seconds = {"memory": moved / (REACHED * card.bytes_per_second)}
    for unit, count in work.instructions().items():
        lanes = ISSUE if unit == "issue" else LANES[unit]
        seconds[unit] = count / (lanes * card.multiprocessors * card.hertz)
    through_l2 = work.read + work.written + further
    seconds["l2"] = through_l2 / (L2_RATE * card.hertz)
    seconds["latency"] = 0.0
    first = True
    for one in work.reading.passes:
        if one.loads:
            at_a_time = at_once * work.resources.threads * sum(one.loads)
            wait = LATENCY if first or reads_again else L2_LATENCY
            seconds["latency"] += work.elements * work.itemsize / at_a_time * wait
            first = False
    return Prediction(seconds, moved, reads_again)


def bytes_in_flight(reading: Reading) -> int:
    """That one thread asks for before it needs the first of them, in the pass that asks for least."""
    return min((sum(one.loads) for one in reading.passes if one.loads), default=0)


def floor(logit_bytes: int, card: Card) -> float:
    """Seconds of a copy of the logits."""
    return 2 * logit_bytes / (REACHED * card.bytes_per_second)


def exponentials(reading: Reading) -> float:
    """Per element, of all passes."""
    return sum(one.per_element(is_exponential) for one in reading.passes)


def per_element(reading: Reading) -> float:
    """Instructions per element, of all passes."""
    return sum(one.instructions for one in reading.passes)
