"""Wrong binary kernels, each with one mistake: the sweep has to find every one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kernel_sweep import sigmoid_checks
from likelihead.kernels.triton.launch import run
from likelihead.kernels.triton.sums import second_stage
from planted import fails, plant

pytestmark = pytest.mark.usefixtures("fast")

KERNEL, SUMS = "sigmoid_kernel", "sums"
# Module, what stands there, what is put there, and the checks of which one at least must fail.
MISTAKES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "the mask of what is read is one too wide": (
        KERNEL, "mask=(row < rows) & (start + lane < columns), other=0)",
        "mask=(row < rows) & (start + lane <= columns), other=0)", ("511 elements",),
    ),
    "the mask of the gradient is one too wide": (
        KERNEL, "tl.store(at, g, mask=(row < rows) & (start + lane < columns))",
        "tl.store(at, g, mask=(row < rows) & (start + lane <= columns))", ("511 elements",),
    ),
    "the mask of the gradient is one too narrow": (
        KERNEL, "tl.store(at, g, mask=(row < rows) & (start + lane < columns))",
        "tl.store(at, g, mask=(row < rows) & (start + lane < columns - 1))", ("511 elements",),
    ),
    "the mask of the nll is one too wide": (
        KERNEL, "tl.store(at, nll, mask=(row < rows) & (start + lane < columns))",
        "tl.store(at, nll, mask=(row <= rows) & (start + lane <= columns))", ("511 elements",),
    ),
    "what is beside the elements counts": (
        KERNEL, "valid = valid & (row < rows) & (start + lane < columns)", "valid = valid & (row < rows)",
        ("511 elements",),
    ),
    "a label that is missing counts": (
        KERNEL, "counted = valid.to(WIDE)\n    return",
        "counted = tl.full((ROWS, COLUMNS), 1.0, WIDE)\n    return",
        ("511 elements", "missing"),
    ),
    "the gradient of a missing label is not 0": (
        KERNEL, "            g = tl.where(valid, g, 0.0)\n", "            g = g + 0.0\n", ("missing",),
    ),
    "a masked element is scored": (
        KERNEL, "valid = valid & (scored != 0)\n    if", "valid = valid & (scored == scored)\n    if",
        ("missing",),
    ),
    "the place of a row is cut to 32 bits": (
        KERNEL, "return offset + rest * _multiple(", "return (offset + rest).to(tl.int32) * _multiple(",
        ("beyond 2^31",),
    ),
    "the losses are summed in float32": (
        SUMS, "total += tl.load(parts + start + at, mask=start + at < count, other=0.0)",
        "total = (total + tl.load(parts + start + at, mask=start + at < count, other=0.0)).to(tl.float32)",
        ("the second stage",),
    ),
}  # fmt: skip


def _second_stage() -> None:
    """Half a unit of the largest, many times: each of them would be lost to it in float32."""
    sums = torch.full((5000,), 0.5, dtype=torch.float64)
    sums[0] = 2.0**24
    out = torch.empty((), dtype=torch.float64)
    run([second_stage(sums, out)])
    assert out.item() == 2.0**24 + 4999 / 2


CHECKS = {**sigmoid_checks(), "the second stage": _second_stage}


def test_the_second_stage_passes() -> None:
    _second_stage()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_sweep_finds(mistake: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module, old, new, checks = MISTAKES[mistake]
    plant(monkeypatch, tmp_path, module, old, new)
    assert any(fails(CHECKS[name]) for name in checks), f"{checks} let it pass"
