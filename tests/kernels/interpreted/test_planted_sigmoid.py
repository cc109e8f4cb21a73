"""Wrong binary kernels, each with one mistake: the sweep has to find every one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kernel_cases import seeded
from kernel_sweep import sigmoid_checks
from likelihead.kernels import dispatch
from likelihead.kernels.triton import plans, sigmoid_nll
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
    "the gradient stays as if no label were missing": (
        KERNEL, "if count != tl.cast(elements, tl.float64):", "if count != count:",
        ("labels missing, torch.float32",),
    ),
    "the gradient is made once more with a part of the count": (
        KERNEL, "count = sum_of(counts, parts, _PARTS)", "count = sum_of(counts, parts - 1, _PARTS)",
        ("labels missing, torch.float32",),
    ),
    "the loss is a part of the sum": (
        KERNEL, "sum_of(sums, parts, _PARTS) / count", "sum_of(sums, parts - 1, _PARTS) / count",
        ("labels missing, torch.float32",),
    ),
    "a mean of some is a sum": (
        KERNEL, "        factor /= sum_of(count, count_parts, _PARTS)\n    tensors",
        "        factor /= 1.0\n    tensors", ("missing", "options"),
    ),
    "the count of the last program is left out": (
        KERNEL, "        factor /= sum_of(count, count_parts, _PARTS)\n    tensors",
        "        factor /= sum_of(count, count_parts - 1, _PARTS)\n    tensors", ("many are masked",),
    ),
    "a 16-bit gradient of some is made anew as of a sum": (
        KERNEL, "                factor /= sum_of(count, count_parts, _PARTS)\n            _tiles",
        "                factor /= 1.0\n            _tiles", ("many are masked",),
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


def _many_are_masked() -> None:
    """What they divide by in several parts, added up by each program and by one before."""
    x = torch.randn(900, 7, generator=seeded(15))
    target, mask = torch.rand(900, 7, generator=seeded(16)), torch.rand(900, 7, generator=seeded(17)) < 0.7
    for dtype in (torch.float32, torch.bfloat16):
        z = x.to(dtype)
        p, t = torch.sigmoid(z.double()), target.to(dtype)
        right = torch.where(mask, p - t.double(), 0) * 3 / mask.sum()
        for parts in (256, 1):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sigmoid_nll, "PARTS", parts)
                patch.setattr(plans, "_plans", {})
                leaf = z.clone().requires_grad_()
                loss = dispatch.sigmoid_loss(leaf, t, mask=mask)
                (gradient,) = torch.autograd.grad(loss, leaf, torch.full_like(loss, 3.0))
            expected = torch.nn.functional.binary_cross_entropy_with_logits(
                z.double()[mask], t.double()[mask]
            )
            torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)
            torch.testing.assert_close(gradient.double(), right, rtol=4 * torch.finfo(dtype).eps, atol=1e-8)


CHECKS = {
    **sigmoid_checks(),
    "the second stage": _second_stage,
    "many are masked": _many_are_masked,
}


@pytest.mark.parametrize("check", ["the second stage", "many are masked"])
def test_the_kernels_pass(check: str) -> None:
    CHECKS[check]()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_sweep_finds(mistake: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module, old, new, checks = MISTAKES[mistake]
    plant(monkeypatch, tmp_path, module, old, new)
    assert any(fails(CHECKS[name]) for name in checks), f"{checks} let it pass"
