"""NVIDIA's machine code, as nvdisasm prints it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from benchmarks.machine_code.flow import Access, Instruction
from benchmarks.machine_code.ptx import Line

_LABEL = re.compile(r"^\s*(\.L_\w+|[\w$.]+):\s*$")
_PLACE = re.compile(r'^\s*//## File "[^"]*", line (\d+)')
_CODE = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:(@!?U?P\w+)\s+)?([\w.]+)\s*(.*?)\s*;")
_TARGET = re.compile(r"`\(([\w.$]+)\)")
_WIDTH = re.compile(r"\.(?:(U8|S8)|(U16|S16|16)|(64)|(128)|(256))\b")
_WIDTHS = (1, 2, 8, 16, 32)

# Left for good by an unpredicated one; CALL comes back.
_ENDS = ("EXIT", "RET", "BRA", "BRX", "JMP", "KILL")


def width(opcode: str) -> int:
    """The bytes that a thread moves.

    >>> width("LDG.E.128"), width("STG.E.U16"), width("LDG.E"), width("LDGSTS.E.BYPASS.128")
    (16, 2, 4, 16)
    """
    found = _WIDTH.search(opcode)
    return (
        4 if found is None else next(size for size, hit in zip(_WIDTHS, found.groups(), strict=True) if hit)
    )


def _access(opcode: str, parameters: frozenset[str]) -> Access | None:
    base = opcode.partition(".")[0]
    if base in ("LDG", "LDGSTS"):
        return Access("load", width(opcode), parameters)
    if base == "STG":
        return Access("store", width(opcode), parameters)
    return None


def parse(text: str, lines: Mapping[int, Line]) -> list[Instruction]:
    """The instructions of a kernel and of the functions that it calls.

    Args:
        text: of ``nvdisasm -c -g``.
        lines: of the PTX that it was assembled from (`benchmarks.machine_code.ptx.numbered`).
    """
    code: list[Instruction] = []
    labels: list[str] = []
    place = 0
    barriers: dict[str, str] = {}  # where the threads that wait at a barrier go on
    for row in text.splitlines():
        if label := _LABEL.match(row):
            labels.append(label[1])
        elif mark := _PLACE.match(row):
            place = int(mark[1])
        elif match := _CODE.match(row):
            predicate, opcode, operands = match[1], match[2], match[3]
            base = opcode.partition(".")[0]
            # What is called by name is the slow path of a division or a root, and not followed; a "call" of a
            # place in the kernel is a jump.
            jumps = base == "BRA" or (base == "CALL" and "(.L_" in operands)
            targets = tuple(_TARGET.findall(operands)) if jumps else ()
            continues = True
            if base == "BSSY":
                barriers[operands.partition(",")[0]] = _TARGET.findall(operands)[0]
            elif base == "BSYNC":
                targets, continues = (barriers[operands.strip()],), predicate is not None
            elif base in _ENDS or jumps:
                conditional = predicate is not None or operands.startswith(("P", "!P", "UP", "!UP"))
                continues = conditional
            if base in ("BRX", "JMX", "BRXU", "JMXU"):
                raise ValueError(f"a jump to a computed place cannot be followed: {opcode} {operands}")
            line = lines.get(place, Line((), frozenset()))
            code.append(
                Instruction(
                    text=f"{predicate + ' ' if predicate else ''}{opcode} {operands}".strip(),
                    opcode=opcode,
                    labels=tuple(labels),
                    targets=targets,
                    continues=continues,
                    where=line.source,
                    access=_access(opcode, line.parameters),
                )
            )
            labels = []
    return code


def resources(text: str, kernel: str) -> tuple[int, int, int, int]:
    """Registers, stack, local and shared memory, from ``cuobjdump --dump-resource-usage``."""
    found = re.search(
        rf"Function {re.escape(kernel)}:\s*REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)", text
    )
    if found is None:
        raise ValueError(f"no resource usage of {kernel} in: {text.strip()}")
    registers, stack, shared, local = map(int, found.groups())
    return registers, stack, local, shared
