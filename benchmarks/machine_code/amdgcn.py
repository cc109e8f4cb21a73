"""AMD's machine code, as LLVM writes it."""

from __future__ import annotations

import re

from benchmarks.machine_code.flow import Access, Instruction

_LABEL = re.compile(r"^(\.?\w+):")
_CODE = re.compile(r"^\t([a-z]\w*)\s*([^;]*)")
_ACCESS = re.compile(r"^(?:global|buffer|flat)_(load|store)_(\w+)")
_BYTES = {"ubyte": 1, "sbyte": 1, "byte": 1, "ushort": 2, "sshort": 2, "short": 2, "dword": 4}


def width(moved: str) -> int:
    """The bytes that a thread moves.

    >>> width("dwordx4"), width("short_d16_hi"), width("dword"), width("lds_dwordx4")
    (16, 2, 4, 16)
    """
    if wide := re.search(r"dwordx(\d)", moved):
        return 4 * int(wide[1])
    return _BYTES[next(part for part in moved.split("_") if part in _BYTES)]


def parse(text: str) -> list[Instruction]:
    """The instructions of a kernel. Which parameter an access goes through is not known."""
    code: list[Instruction] = []
    labels: list[str] = []
    for row in [*text.partition("s_endpgm")[0].splitlines(), "\ts_endpgm"]:
        if label := _LABEL.match(row):
            labels.append(label[1])
        elif match := _CODE.match(row):
            opcode, operands = match[1], match[2].strip()
            branch = opcode == "s_branch" or opcode.startswith("s_cbranch")
            access = _ACCESS.match(opcode)
            code.append(
                Instruction(
                    text=f"{opcode} {operands}".strip(),
                    opcode=opcode,
                    labels=tuple(labels),
                    targets=(operands,) if branch else (),
                    continues=opcode not in ("s_branch", "s_endpgm"),
                    access=Access(access[1], width(access[2])) if access else None,
                )
            )
            labels = []
    return code


def resources(text: str) -> tuple[int, int, int, int]:
    """Registers, stack, spilled registers in bytes and shared memory of the one kernel there is."""

    def figure(name: str) -> int:
        found = re.search(rf"\.{name}:\s+(\d+)", text)
        if found is None:
            raise ValueError(f"no .{name} in the metadata of the kernel")
        return int(found[1])

    spilled = 4 * (figure("vgpr_spill_count") + figure("sgpr_spill_count"))
    return (
        figure("vgpr_count"),
        figure("private_segment_fixed_size"),
        spilled,
        figure("group_segment_fixed_size"),
    )
