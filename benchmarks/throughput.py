"""`python -m benchmarks throughput`: the CPU kernels' cycles per logit on processors that are not here.

This processor writes down, one by one, what a loss executes; llvm-mca schedules it for another processor.
What a loss of twice the size takes beyond one is the cost of its logits. llvm-mca knows ports, latencies and
the reorder buffer; for it every load hits the first-level cache, no branch is mispredicted, no clock is
lowered, and no page is new.
"""

from __future__ import annotations

import ctypes
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from likelihead.errors import BackendError

PROCESSORS = ("cascadelake", "icelake-server", "znver4")

STEPPER = Path(__file__).with_name("stepper.cpp")


def _loss(size: int, *, name: str, shape: tuple[int, ...], soft: bool = False, **options: Any) -> Any:
    import torch

    import likelihead.functional as LF

    rows = (shape[0] * size, *shape[1:])
    logits = torch.randn(rows, requires_grad=True)
    target = torch.randn(rows).softmax(1) if soft else torch.randint(shape[1], (rows[0], *rows[2:]))
    if name != "cross_entropy":
        target = torch.randint(2, rows).float()
    options |= {key: torch.rand(shape[1]) for key in ("weight", "pos_weight") if key in options}
    return lambda: torch.autograd.grad(getattr(LF, name)(logits, target, **options), logits)


_categorical = partial(_loss, name="cross_entropy")
_binary = partial(_loss, name="binary_cross_entropy_with_logits", shape=(8, 1024))


class Case(NamedTuple):
    """As in the CPU table, but small."""

    name: str
    logits: int
    loss: Callable[[int], Any]  # of some times as many logits, with its gradient


CASES = (
    Case("lm", 16384, partial(_categorical, shape=(1, 16384))),
    Case("imagenet", 4000, partial(_categorical, shape=(4, 1000))),
    Case("few-classes", 2560, partial(_categorical, shape=(256, 10))),
    Case("segmentation", 21504, partial(_categorical, shape=(1, 21, 32, 32))),
    Case("options", 16384, partial(_categorical, shape=(1, 16384), weight=True, label_smoothing=0.1)),
    Case("soft", 4000, partial(_categorical, shape=(4, 1000), soft=True)),
    Case("multilabel", 8192, _binary),
    Case("multilabel-pos", 8192, partial(_binary, pos_weight=True)),
)


def traces(case: Case) -> list[list[str]]:
    """The instructions of the kernels and of libm in a loss of this case, and in one of twice its size."""
    import torch

    if not (sys.platform == "linux" and platform.machine() == "x86_64"):
        raise BackendError("instructions can be written down on Linux and x86-64 alone.")
    torch.set_num_threads(1)
    buffer = (ctypes.c_long * 6_000_000)()
    found = []
    with TemporaryDirectory(prefix="throughput-") as folder:
        library = f"{folder}/stepper.so"
        command = ["g++", "-O2", "-mno-red-zone", "-shared", "-fPIC", str(STEPPER), "-o", library]
        subprocess.run(command, check=True)
        stepper = ctypes.CDLL(library)
    for size in (1, 2):
        torch.manual_seed(0)
        call = case.loss(size)
        for _ in range(3):
            call()
        stepper.begin(buffer, ctypes.c_long(len(buffer)))
        call()
        found.append(list(_instructions(buffer[: stepper.end()])))
    if not found[0]:
        raise BackendError("the native kernels do not run here; `likelihead info` says why.")
    return found


def _instructions(addresses: Sequence[int]) -> Iterator[str]:
    files = []
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if "x" in words[1] and re.search(r"/(_kernels[^/]*|libm\.so.*)$", line):
            first, last = (int(part, 16) for part in words[0].split("-"))
            files.append((range(first, last), int(words[2], 16) - first, words[5]))
    for address, _ in groupby(addresses):  # one of those that repeat themselves
        for within, shift, path in files:
            if address in within:
                yield _disassembled(path)[address + shift]


@cache
def _disassembled(path: str) -> dict[int, str]:
    command = ["objdump", "-d", "--no-show-raw-insn", "-w", path]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"^\s+([0-9a-f]+):\s+(.*)$", text, re.MULTILINE)
    return {int(place, 16): assembler(words) for place, words in lines}


def assembler(words: str) -> str:
    """An instruction as objdump shows it, as an assembler takes it."""
    words = re.sub(r"<[^>]*>|\b(notrack|bnd)\b", "", words.partition("#")[0]).strip()
    return re.sub(r"^((?:j|call)\S*\s+)([0-9a-f]+)$", r"\g<1>0x\2", words)


def scheduled(instructions: Sequence[str], processor: str) -> tuple[float, dict[str, float]]:
    """How many cycles they take there, and how many of these each of its units is busy."""
    command = ["llvm-mca", "-mtriple=x86_64", f"-mcpu={processor}", "-iterations=1", "-instruction-info=0"]
    text = "\n".join(instructions) + "\n"
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    cycles = re.search(r"^Total Cycles:\s+(\d+)", done.stdout, re.MULTILINE)
    table = re.search(r"^Resource pressure per iteration:\n(.*)\n(.*)\n", done.stdout, re.MULTILINE)
    if cycles is None or table is None:
        raise BackendError(f"llvm-mca failed: {' '.join(done.stderr.split())[:200]}")
    names = dict(re.findall(r"^\[([\d.]+)\]\s+- (\S+)", done.stdout, re.MULTILINE))
    busy = zip(re.findall(r"\[([\d.]+)\]", table[1]), table[2].split(), strict=True)
    return float(cycles[1]), {names.get(unit, unit): float(n) for unit, n in busy if n != "-"}


def predicted(case: Case, processors: Sequence[str]) -> Iterator[tuple[str, float, dict[str, float]]]:
    """Processor, cycles per logit, and for how many of them each of its units is busy."""
    once, twice = traces(case)
    logits = case.logits
    for processor in processors:
        (less, some), (more, busy) = scheduled(once, processor), scheduled(twice, processor)
        yield processor, (more - less) / logits, {u: (n - some.get(u, 0)) / logits for u, n in busy.items()}
