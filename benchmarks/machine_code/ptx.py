"""PTX: which parameter an access goes through, and line numbers that survive into the machine code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_ACCESS = re.compile(r"(?:@!?%p\d+\s+)?(ld|st|atom|red)\.global[^\s]*\s+[^\[]*\[\s*(%rd\d+)")
_COPY = re.compile(r"(?:@!?%p\d+\s+)?(cp)\.async\.c[ag]\.shared\.global[^\[]*\[[^\]]*\],\s*\[\s*(%rd\d+)")
_PARAMETER = re.compile(r"ld\.param\.\w+\s+(%\w+),\s*\[\w+_param_(\d+)")
_DEFINITION = re.compile(r"(?:@!?%p\d+\s+)?(?!st|ld\.global|atom|red|cp)([a-z][\w.]*)\s+(%\w+),\s*(.*);")
_REGISTER = re.compile(r"%r\w*\d+")
_SOURCE = re.compile(r"^\s*\.loc\s+\d+ \d+ \d+[^/]*//\s*(.*)$")


@dataclass(frozen=True)
class Line:
    """An instruction of the PTX.

    Attributes:
        source: where it comes from in the Python source, innermost first, as ``file:line``.
        parameters: of the kernel, that the address of this access is formed from; none where it is no access.
    """

    source: tuple[str, ...]
    parameters: frozenset[str]


def _pointers(lines: Sequence[str], parameters: Sequence[str]) -> dict[str, frozenset[str]]:
    """The pointer parameters that each register is formed from.

    A loaded value carries no pointer on: an index read from memory says nothing of where the index came from.
    """
    origin: dict[str, frozenset[str]] = {}
    formed: dict[str, set[str]] = {}
    for line in lines:
        if read := _PARAMETER.search(line):
            number = int(read[2])
            name = parameters[number] if number < len(parameters) else f"scratch {number}"
            origin[read[1]] = frozenset({name})
        elif made := _DEFINITION.match(line.strip()):
            formed.setdefault(made[2], set()).update(_REGISTER.findall(made[3]))
    changed = True
    while changed:  # around loops, until nothing is added
        changed = False
        for register, operands in formed.items():
            known = origin.get(register, frozenset())
            united = known.union(*(origin.get(operand, frozenset()) for operand in operands))
            if united != known:
                origin[register], changed = united, True
    return origin


def read(ptx: str, parameters: Sequence[str], pointers: frozenset[str]) -> dict[int, Line]:
    """The instructions by line number, counted from 1.

    Args:
        ptx: of one kernel.
        parameters: their names, in the order that the kernel takes them.
        pointers: which of them are pointers: an offset or a stride is no place that an access goes to.
    """
    lines = ptx.splitlines()
    origin = _pointers(lines, parameters)
    source: tuple[str, ...] = ()
    found = {}
    for number, line in enumerate(lines, 1):
        if place := _SOURCE.match(line):
            source = tuple(re.findall(r"([\w.<>-]+:\d+)(?::\d+)?", place[1]))
        elif line.strip().endswith(";") and not line.strip().startswith("."):
            access = _ACCESS.search(line) or _COPY.search(line)
            through = origin.get(access[2], frozenset()) & pointers if access else frozenset()
            found[number] = Line(source, through)
    return found


def numbered(ptx: str) -> str:
    """The same program with each instruction's line number in place of the Python source's.

    The disassembler then says of each machine instruction which line of PTX it came from; it does not say
    through which inlined calls a line of Python was reached.
    """
    out = []
    for number, line in enumerate(ptx.splitlines(), 1):
        bare = line.strip()
        if bare.startswith(".loc"):
            continue
        if bare.endswith(";") and not bare.startswith((".", "ret", "//")):
            out.append(f"\t.loc\t1 {number} 0")
        out.append(line)
    return "\n".join(out) + "\n"
