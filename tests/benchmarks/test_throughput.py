"""`python -m benchmarks throughput`: what is written down, and what is made of it."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable

import pytest
import torch
from click.testing import CliRunner

from benchmarks import throughput
from benchmarks.__main__ import main
from likelihead.kernels.native import _library

needs_mca = pytest.mark.skipif(shutil.which("llvm-mca") is None, reason="no llvm-mca")
can_step = sys.platform == "linux" and platform.machine() == "x86_64"
needs_kernels = pytest.mark.skipif(
    not (can_step and _library.PATH and shutil.which("g++") and shutil.which("objdump")),
    reason="no kernels to step through",
)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("vmulps 0x17(%rip),%ymm0,%ymm1        # 2f <x+0x1>", "vmulps 0x17(%rip),%ymm0,%ymm1"),
        ("jne    2bd0b <(anonymous namespace)::f()+0x3>", "jne    0x2bd0b"),
        ("notrack jmp *%rax", "jmp *%rax"),
    ],
)
def test_an_assembler_takes_what_objdump_shows(shown: str, expected: str) -> None:
    assert throughput.assembler(shown) == expected


@needs_mca
def test_cycles_are_those_of_the_chain_or_of_the_ports() -> None:
    chain, _ = throughput.scheduled(["vaddps %zmm0, %zmm0, %zmm0"] * 300, "cascadelake")
    assert chain == pytest.approx(4 * 300, abs=10)
    free = [f"vaddps %zmm31, %zmm31, %zmm{k % 30}" for k in range(300)]
    cycles, busy = throughput.scheduled(free, "cascadelake")  # two ports add 64 bytes at a time
    assert cycles == pytest.approx(150, abs=10)
    assert busy["SKXPort0"] + busy["SKXPort5"] == 300


@needs_mca
@needs_kernels
@pytest.mark.usefixtures("small")
def test_a_loss_is_predicted(capsys: pytest.CaptureFixture[str]) -> None:
    result = CliRunner().invoke(main, ["throughput", "--on", "cascadelake"])
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    name, processor, cycles, *_ = line.split()
    assert (name, processor) == ("rows", "cascadelake")
    assert (
        0.5 < float(cycles) < 20
    )  # AVX-512: 20 instructions of the two ports for 16 logits, and more of a row


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """One op alone: all that Python and torch do on the way is stepped through too."""
    options = (None, 0.0, -100, 0.0, 0.0, None, True, None, 0.0, None)

    def rows(size: int) -> Callable[[], object]:
        logits, target = torch.randn(8 * size, 1000), torch.arange(8 * size)
        return lambda: torch.ops.likelihead.softmax_loss_(logits, target, *options, True, None)

    monkeypatch.setattr(throughput, "CASES", [throughput.Case("rows", 8000, rows)])


@needs_kernels
@pytest.mark.usefixtures("small")
def test_a_tool_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    result = CliRunner().invoke(main, ["throughput"])
    assert result.exit_code == 2
    assert result.stderr == "likelihead: g++: No such file or directory\n"
