"""What each instruction of an NVIDIA GPU occupies, and the GPUs for which a table is made.

Rates are the results per clock and multiprocessor of the table of arithmetic throughput in the CUDA C++
programming guide, for compute capability 9.0.
"""

from __future__ import annotations

from dataclasses import dataclass

ISSUE = 128  # lanes: four schedulers, each one instruction of 32 lanes per clock
LANES = {"fma": 128, "alu": 64, "imad": 64, "mufu": 16, "fp64": 64, "lsu": 32, "issue": ISSUE}
"""Lanes per clock of each unit. "issue" is what only occupies a scheduler."""

_UNITS = {
    "fma": "FADD FMUL FFMA FADD2 FMUL2 FFMA2 HADD2 HMUL2 HFMA2 MOV CS2R",
    "imad": "IMAD",  # the larger half of the fma units
    "mufu": "MUFU I2F F2I F2F I2I FRND POPC FLO BREV",
    "fp64": "DADD DMUL DFMA DSETP DMNMX",
    "lsu": "LDG STG LDGSTS LD ST LDS STS LDL STL LDSM STSM ATOM ATOMG ATOMS RED REDG REDUX SHFL",
    "issue": (
        "BRA BSSY BSYNC BREAK BMOV EXIT RET CALL NOP BAR WARPSYNC YIELD KILL VOTE VOTEU S2R S2UR R2UR LDC"
        " LDCU ULDC DEPBAR LDGDEPBAR MEMBAR ERRBAR FENCE CCTL SYNCS ACQBULK CGAERRBAR PREEXIT ENDCOLLECTIVE"
    ),
}
_UNIT = {opcode: unit for unit, opcodes in _UNITS.items() for opcode in opcodes.split()}


def unit(opcode: str) -> str:
    """The unit that executes an instruction; "alu" where nothing else is known.

    >>> unit("MUFU.EX2"), unit("FFMA.FTZ"), unit("IADD3.X"), unit("UIADD3"), unit("LDG.E.128")
    ('mufu', 'fma', 'alu', 'issue', 'lsu')
    """
    base = opcode.partition(".")[0]
    # Uniform instructions are executed once for a warp.
    return _UNIT.get(base, "issue" if base.startswith("U") else "alu")


@dataclass(frozen=True)
class Multiprocessor:
    """What the programs on one multiprocessor (AMD: compute unit) share, in four quarters.

    Attributes:
        registers: of 32 bits.
        lot: that registers are handed out to a warp in.
        warp: threads.
        threads: at most.
        programs: at most.
        shared: bytes.
    """

    registers: int = 65536
    lot: int = 256
    warp: int = 32
    threads: int = 2048
    programs: int = 32
    shared: int = 228 * 1024

    def resident(self, registers: int, shared: int, threads: int) -> int:
        """How many programs run side by side.

        >>> Multiprocessor().resident(registers=64, shared=1024, threads=256)
        4
        """
        per_warp = -(-max(1, registers) * self.warp // self.lot) * self.lot
        warps = 4 * (self.registers // 4 // per_warp)
        by_registers = warps // (threads // self.warp)
        by_shared = self.shared // -(-shared // 128) // 128 if shared else self.programs
        return min(self.programs, self.threads // threads, by_registers, by_shared)


MULTIPROCESSORS = {
    "sm_80": Multiprocessor(shared=164 * 1024),
    "sm_90": Multiprocessor(),
    "sm_100": Multiprocessor(),
    "gfx942": Multiprocessor(registers=131072, lot=512, warp=64, shared=64 * 1024),
}


@dataclass(frozen=True)
class Card:
    """A GPU by its maker's figures.

    Attributes:
        name: as `torch.cuda.get_device_name` has it, or nearly.
        target: that a kernel is compiled for.
        multiprocessors: that are switched on.
        hertz: the highest clock.
        bytes_per_second: of the device memory.
        l2_bytes: of the last cache.
    """

    name: str
    target: str
    multiprocessors: int
    hertz: float
    bytes_per_second: float
    l2_bytes: int


# 1.98 GHz: the data sheet's 66.9 teraflops of float32 are 132 multiprocessors x 128 lanes x 2 at this clock.
CARDS = (
    Card("H100 SXM", "sm_90", 132, 1.98e9, 3.35e12, 50 * 2**20),
    Card("H200", "sm_90", 132, 1.98e9, 4.8e12, 50 * 2**20),
)
