"""What the machine code of a kernel must and must not hold."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.machine_code.compiler import MachineCode
from benchmarks.machine_code.rates import MULTIPROCESSORS
from benchmarks.machine_code.reading import Pass, Reading, is_exponential

WIDE = 16  # bytes: the widest access of one thread on every target


@dataclass(frozen=True, kw_only=True)
class Intended:
    """What a kernel was built to need.

    Attributes:
        instructions: the most per element of a pass.
        passes: over the elements, at most; one at least, unless it is 0.
        programs: the fewest that one multiprocessor must hold side by side.
        exponentials: the most per element and pass.
        fusion: whether the compiler may make multiply-adds of sums and products.
        wide: whether elements must be moved 16 bytes at a time: not where the length of a row is odd.
    """

    instructions: float
    passes: int = 1
    programs: int = 1
    exponentials: float = 1.0
    fusion: bool = False
    wide: bool = True


def faults(code: MachineCode, reading: Reading, intended: Intended) -> list[str]:
    """What is wrong with a kernel, a sentence each; nothing where it is as intended."""
    held = code.resources
    found = []
    if held.stack or held.local or reading.spills:
        found.append(
            f"{held.local} bytes of local memory and {held.stack} of stack per thread"
            f" ({len(reading.spills)} loads and stores of it): its values must fit in registers"
        )
    programs = MULTIPROCESSORS[code.target].resident(held.registers, held.shared, held.threads)
    if programs < intended.programs:
        found.append(
            f"{programs} programs fit on a multiprocessor with {held.registers} registers per thread,"
            f" {held.threads} threads and {held.shared} bytes shared; {intended.programs} are intended"
        )
    if reading.fusable and not intended.fusion:
        kinds = ", ".join(sorted(set(reading.fusable)))
        found.append(f"{len(reading.fusable)} sums and products may be fused ({kinds}); none should be")
    if code.target == "gfx942":  # what an access goes through is not known there
        moved = sum(width * count for width, count in reading.widths.items())
        if intended.passes and intended.wide and 2 * WIDE * reading.widths.get(WIDE, 0) < moved:
            found.append(f"most bytes are not moved {WIDE} at a time: {dict(reading.widths)}")
        return found
    if not min(1, intended.passes) <= len(reading.passes) <= intended.passes:
        found.append(
            f"{len(reading.passes)} passes over the elements; {intended.passes} are intended:"
            f" {', '.join(one.source for one in reading.passes)}"
        )
    for one in reading.passes:
        found += _faults_of_a_pass(one, intended)
    return found


def _faults_of_a_pass(one: Pass, intended: Intended) -> list[str]:
    found = []
    for what, texts in (("integer divisions", one.divisions), ("calls", one.calls)):
        if texts:
            found.append(f"{one.source}: {len(texts)} {what} in the loop, such as {texts[0]}")
    exponentials = one.per_element(is_exponential)
    if exponentials > intended.exponentials:
        found.append(
            f"{one.source}: {exponentials:.3g} exponentials per element; {intended.exponentials:.3g} intended"
        )
    if one.instructions > intended.instructions:
        found.append(
            f"{one.source}: {one.instructions:.1f} instructions per element;"
            f" {intended.instructions:.3g} are intended"
        )
    for kind, widths in (("reads", one.loads), ("writes", one.stores)):
        if intended.wide and widths and min(widths) < WIDE:
            found.append(f"{one.source}: {kind} of {min(widths)} bytes; {WIDE} are intended")
    return found
