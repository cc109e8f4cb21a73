"""The head's product and the loss in one, on a GPU, beside every peer that has it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.gpu import peer
from likelihead.bench import linear_softmax_nll
from likelihead.bench.case import CHUNKED, EAGER, FLOOR, OURS, Goal, Problem, Room

BESIDE_THE_GRADIENTS = 1024
"""MiB that ours may take at its peak."""


@dataclass(frozen=True, kw_only=True)
class LinearCase(linear_softmax_nll.LinearCase):
    dtype: torch.dtype = torch.bfloat16
    width: int = 4096
    rounds: int | None = None

    def build(self, device: str = "cuda") -> Problem:
        problem = super().build(device)
        target, upstream = problem.target, self.upstream(device)[0]
        if self.values == "mean":
            peer.add(
                problem,
                peer.LIGER,
                "liger_kernel.transformers.functional",
                "liger_fused_linear_cross_entropy",
                lambda loss: lambda hidden, head: loss(hidden, head, target),
            )
        else:
            problem.absent[peer.LIGER] = "makes its gradients before it knows the upstream ones"
        peer.add(
            problem,
            peer.CUT,
            "cut_cross_entropy",
            "linear_cross_entropy",
            lambda loss: (
                (lambda hidden, head: loss(hidden, head, target))
                if self.values == "mean"
                else (lambda hidden, head: loss(hidden, head, target, reduction="none").float() @ upstream)
            ),
        )
        return problem


def _case(name: str, peers: tuple[str, ...], **settings: Any) -> LinearCase:
    case = LinearCase(name=name, shape=(8192, 128256), **settings)
    goals = (
        Goal(OURS, FLOOR, "within", 1.05),
        *(Goal(OURS, name, "faster", 1) for name in (EAGER, *peers)),
        Room(OURS, case.gradients_mib + BESIDE_THE_GRADIENTS),
    )
    return replace(case, goals=goals)


CASES = (
    _case("linear", (peer.LIGER, peer.CUT, CHUNKED)),
    _case("linear-sft", (peer.LIGER, peer.CUT, CHUNKED), ignored=0.75),
    _case("linear-per-token", (peer.CUT,), values="per token"),
)
