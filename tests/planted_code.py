"""Kernels that are right, or wrong in one way, as they would be launched. For other processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

import planted_kernels as kernels
from benchmarks.machine_code.checks import Intended, faults
from benchmarks.machine_code.compiler import MachineCode, machine_code
from benchmarks.machine_code.reading import Reading, read


@dataclass(frozen=True)
class Planted:
    """A kernel of `planted_kernels` over ``[rows, classes]``, and what is intended of it."""

    kernel: str
    intended: Intended
    classes: int = 4096
    offset: int = 0  # of the first logit in its memory, in elements
    block: int = 2048
    num_warps: int = 8
    options: dict[str, Any] = field(default_factory=dict)
    target: str = "sm_90"


def compiled(planted: Planted) -> tuple[MachineCode, Reading]:
    shape = (8, planted.classes)
    logits = torch.empty(8 * planted.classes + planted.offset, dtype=torch.bfloat16, device="meta")
    logits = logits[planted.offset :].view(shape)
    options = {"BLOCK": planted.block, "num_warps": planted.num_warps, "enable_fp_fusion": False}
    code = machine_code(
        getattr(kernels, planted.kernel),
        [logits, torch.empty_like(logits), planted.classes],
        options | planted.options,
        planted.target,
    )
    return code, read(code, ["logits"], ["gradient"])


def found(planted: Planted) -> list[str]:
    return faults(*compiled(planted), planted.intended)
