"""The head's product and the loss in one, on a GPU, beside every peer that has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu import peer
from likelihead.bench import linear_softmax_nll
from likelihead.bench.case import CHUNKED, EAGER, FLOOR, OURS, Goal, Problem, Room
from likelihead.bench.linear_softmax_nll import HeadLoss, add_chunked
from likelihead.functional import linear_cross_entropy

BESIDE_THE_GRADIENTS = 1024
"""MiB that ours may take at its peak."""

COMPACTED = "ours compacted"
"""Which waits for the device to say how many tokens count, and multiplies these alone."""

_4096 = {"batch_chunk_size": 4096, "chunking_method": None}
CHUNKINGS: dict[str, dict[str, Any]] = {
    CHUNKED: {},
    "torch chunked by shape": {"chunking_method": "aspect_ratio"},
    **{
        f"torch chunked, {policy}": {"acc_policy": policy, **_4096}
        for policy in ("accurate", "balanced", "compact")
    },
}
"""Torch's own form in each of its ways: as it chooses itself, in chunks by shape, and in 4096 tokens."""


@dataclass(frozen=True, kw_only=True)
class LinearCase(linear_softmax_nll.LinearCase):
    dtype: torch.dtype = torch.bfloat16
    width: int = 4096
    rounds: int | None = None

    def add_peers(self, problem: Problem, of_leaves: Callable[[HeadLoss], Callable[..., Tensor]]) -> None:
        """Add those that have this loss, and say of the others why not."""
        if self.values == "log-probs":
            problem.absent |= dict.fromkeys((peer.LIGER, peer.QUACK, peer.CUT), "has no entropy")
            return
        peer.add(
            problem,
            peer.CUT,
            "cut_cross_entropy",
            "linear_cross_entropy",
            lambda loss: of_leaves(
                (lambda hidden, head, target, upstream: loss(hidden, head, target))
                if self.values == "mean"
                else (
                    lambda hidden, head, target, upstream: (
                        loss(hidden, head, target, reduction="none").float() @ upstream[0]
                    )
                )
            ),
        )
        if self.values == "per token":
            late = "makes its gradients before it knows the upstream ones"
            problem.absent |= dict.fromkeys((peer.LIGER, peer.QUACK), late)
            return
        for name, module, function in (
            (peer.LIGER, "liger_kernel.transformers.functional", "liger_fused_linear_cross_entropy"),
            (peer.QUACK, "quack.linear_cross_entropy", "chunked_linear_cross_entropy"),
        ):
            peer.add(
                problem,
                name,
                module,
                function,
                lambda loss: of_leaves(lambda hidden, head, target, upstream: loss(hidden, head, target)),
            )
        if self.ignored:
            problem.losses[COMPACTED] = of_leaves(
                lambda hidden, head, target, upstream: linear_cross_entropy(
                    hidden, head, target, compact=True
                )
            )
        for name, settings in CHUNKINGS.items():
            add_chunked(problem, of_leaves, name, **settings)


def _case(name: str, peers: tuple[str, ...], *, floor: float = 1.05, **settings: Any) -> LinearCase:
    case = LinearCase(name=name, shape=(8192, 128256), **settings)
    goals = (
        Goal(COMPACTED if case.ignored else OURS, FLOOR, "within", floor),
        *(Goal(OURS, name, "faster", 1) for name in (EAGER, *peers)),
        Room(OURS, case.gradients_mib + BESIDE_THE_GRADIENTS),
    )
    return replace(case, goals=goals)


_ALL = (peer.LIGER, peer.CUT, peer.QUACK, *CHUNKINGS)
CASES = (
    _case("linear", _ALL),
    _case("linear-sft", _ALL, ignored=0.75),
    _case("linear-frozen", _ALL, frozen=True, floor=1.1),  # the kernel beside two products
    _case("linear-per-token", (peer.CUT,), values="per token"),
    _case("log-probs", (), values="log-probs", floor=1.1),
)
