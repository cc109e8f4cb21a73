"""What the machine code says of a kernel: its passes over the logits, and what each element costs in them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from math import gcd

from benchmarks.machine_code.compiler import MachineCode
from benchmarks.machine_code.flow import Instruction, Region, Where, regions
from benchmarks.machine_code.rates import unit

_BYTES = {"fp64": 8, "i64": 8, "fp32": 4, "i32": 4, "fp16": 2, "bf16": 2, "i16": 2, "i8": 1, "u8": 1, "i1": 1}
_FUSABLE = re.compile(r"\b(?:add|sub|mul)\.(?:ftz\.)?f(?:16x2|16|32x2|32|64)\b")

_LOCAL = ("LDL", "STL", "scratch_")
_CALL = ("CALL", "s_swappc")


@dataclass(frozen=True)
class Pass:
    """A loop, or the code outside all loops, that goes over the elements.

    Attributes:
        source: where its reads (or, without any, its writes) stand in the Python source.
        is_loop: False for the code in no loop.
        elements: that one thread handles in one round.
        granule: the same where the compiler has not unrolled the loop.
        opcodes: how often each occurs.
        loads: the widths, in bytes, of the reads of elements.
        stores: the same of the writes.
        divisions: of integers, in a loop, as the disassembler has them.
        calls: in a loop, as of a division in 64 bits.
    """

    source: str
    is_loop: bool
    elements: int
    granule: int
    opcodes: Mapping[str, int]
    loads: tuple[int, ...]
    stores: tuple[int, ...]
    divisions: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()

    @property
    def instructions(self) -> float:
        """Per element."""
        return sum(self.opcodes.values()) / self.elements

    def per_element(self, wanted: Callable[[str], bool]) -> float:
        return sum(count for opcode, count in self.opcodes.items() if wanted(opcode)) / self.elements

    def units(self) -> dict[str, float]:
        """Instructions per element by the unit that executes them."""
        shares: Counter[str] = Counter()
        for opcode, count in self.opcodes.items():
            shares[unit(opcode)] += count
        return {name: count / self.elements for name, count in shares.items()}


@dataclass(frozen=True)
class Reading:
    """A kernel's passes and the rest of it.

    Attributes:
        passes: in the order of the code.
        around: how many instructions a thread executes at most once, or once for each row.
        spills: loads and stores of local memory.
        widths: how many accesses there are of each width in bytes, whatever they go through.
        fusable: the sums and products of the PTX that do not name their rounding (NVIDIA alone): those that
            the compiler may make one multiply-add of, and so lose what a compensated sum is there to keep.
    """

    passes: tuple[Pass, ...]
    around: int
    spills: tuple[str, ...] = ()
    widths: Mapping[int, int] = field(default_factory=dict)
    fusable: tuple[str, ...] = ()


def is_division(at: Instruction) -> bool:
    """Whether this is the reciprocal with which an integer division begins."""
    return (at.opcode.startswith("I2F") and ".RP" in at.opcode) or at.opcode == "v_rcp_iflag_f32_e32"


def _is_cold(call: Instruction) -> bool:
    """Whether it is a jump in disguise, or the part of a float division that is for subnormal numbers."""
    return bool(call.targets) or "slowpath" in call.text


def is_exponential(opcode: str) -> bool:
    return opcode.startswith(("MUFU.EX2", "v_exp_f32"))


def _moved(region: Region, kind: str, pointers: Iterable[str]) -> dict[Where, list[int]]:
    """The widths of the accesses through these parameters, by their place in the source."""
    wanted = frozenset(pointers)
    found: dict[Where, list[int]] = {}
    for at, access in region.accesses(kind):
        if access.parameters & wanted:
            found.setdefault(at.where, []).append(access.bytes)
    return found


def _widths(moved: Mapping[Where, list[int]], least: int) -> tuple[int, ...]:
    return tuple(chain.from_iterable(widths for widths in moved.values() if sum(widths) >= least))


def read(
    code: MachineCode,
    reads: Iterable[str],
    writes: Iterable[str],
    *,
    least: int = 1,
    rare: Container[str] = (),
) -> Reading:
    """Find the passes.

    A place in the source at which a thread reads (or writes) less than ``least`` bytes in a round is no pass:
    the logit of the target is read on its own. Of the variants that a compiler makes of one loop, unrolled
    and left over, the one that handles most elements in a round stands for all.

    Args:
        code: of a kernel.
        reads: the parameters through which elements are read.
        writes: the parameters through which elements are written.
        least: see above.
        rare: places in the source whose code is executed once in a while: it is not counted.
    """
    reads, writes = list(reads), list(writes)
    candidates: list[tuple[int, frozenset[Where], Pass]] = []
    around = 0
    position = {id(at): index for index, at in enumerate(code.code)}
    for region in regions(code.code):
        executed = [at for at in region.instructions if not any(place in rare for place in at.where)]
        region = replace(region, instructions=executed)
        loaded, stored = _moved(region, "load", reads), _moved(region, "store", writes)
        moved = {place: widths for place, widths in (loaded or stored).items() if sum(widths) >= least}
        if not moved:
            around += len(executed)
            continue
        place = max(moved, key=lambda place: sum(moved[place]))
        size = min(_BYTES[code.pointers[name]] for name in (reads if loaded else writes))
        divided = [at.text for at in executed if is_division(at)]
        called = [at.text for at in executed if at.opcode.startswith(_CALL) and not _is_cold(at)]
        one = Pass(
            source=" < ".join(place),
            is_loop=region.is_loop,
            elements=sum(moved[place]) // size,
            granule=sum(moved[place]) // size,
            opcodes=Counter(at.opcode for at in executed),
            loads=_widths(loaded, least),
            stores=_widths(stored, least),
            divisions=tuple(divided) if region.is_loop else (),
            calls=tuple(called) if region.is_loop else (),
        )
        first = next(at for at in region.instructions if at.access and at.where in moved)
        candidates.append((position[id(first)], frozenset(moved), one))
    if any(one.is_loop for *_, one in candidates):
        # What a block that is not whole needs beside them, once for each program.
        around += sum(sum(one.opcodes.values()) for *_, one in candidates if not one.is_loop)
        candidates = [candidate for candidate in candidates if candidate[2].is_loop]
    passes: list[tuple[int, Pass]] = []
    covered: set[Where] = set()
    for start, places, one in sorted(candidates, key=lambda item: -item[2].elements):
        if not places <= covered:
            granule = gcd(*(other.elements for _, same, other in candidates if same == places))
            passes.append((start, replace(one, granule=granule)))
            covered |= places
    return Reading(
        passes=tuple(one for _, one in sorted(passes, key=lambda item: item[0])),
        around=around,
        spills=tuple(at.text for at in code.code if at.opcode.startswith(_LOCAL)),
        widths=Counter(at.access.bytes for at in code.code if at.access is not None),
        fusable=tuple(_FUSABLE.findall(code.ptx)),
    )
