"""A student's head beside its teacher's, on a GPU, beside Liger."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.gpu import peer
from benchmarks.gpu.linear_softmax_nll import BESIDE_THE_GRADIENTS
from likelihead.bench import linear_kl
from likelihead.bench.case import EAGER, FLOOR, OURS, Goal, Problem, Room

SHARE_OF_THE_TEACHER = {"forward": 0.0, "reverse": 1.0}
"""What Liger's generalised Jensen-Shannon divergence takes for KL, which ours has as a limit alone."""


@dataclass(frozen=True, kw_only=True)
class KLCase(linear_kl.KLCase):
    dtype: torch.dtype = torch.bfloat16
    width: int = 4096
    rounds: int | None = None

    def add_students(self, problem: Problem, teacher: Tensor, teacher_head: Tensor) -> None:
        """Add Liger; the others have no divergence."""
        beta = SHARE_OF_THE_TEACHER[self.direction]
        peer.add(
            problem,
            peer.LIGER,
            "liger_kernel.transformers.functional",
            "liger_fused_linear_jsd",
            lambda loss: lambda hidden, head: loss(hidden, head, teacher, teacher_head, jsd_beta=beta),
        )
        problem.absent |= dict.fromkeys((peer.QUACK, peer.CUT), "has no divergence")


def _case(name: str, direction: str, floor: float) -> KLCase:
    case = KLCase(name=name, shape=(8192, 128256), direction=direction)
    goals = (
        Goal(OURS, FLOOR, "within", floor),
        *(Goal(OURS, name, "faster", 1) for name in (EAGER, peer.LIGER)),
        Room(OURS, case.gradients_mib + BESIDE_THE_GRADIENTS),
    )
    return replace(case, goals=goals)


# The kernel reads both heads' logits, twice or three times.
CASES = (_case("linear-kl", "forward", 1.15), _case("linear-kl-reverse", "reverse", 1.2))
