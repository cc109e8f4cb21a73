"""softmax_nll on a GPU, beside Liger and QuACK."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from benchmarks.gpu import peer
from likelihead.bench import softmax_nll
from likelihead.bench.case import EAGER, FLOOR, OURS, Goal, Problem


@dataclass(frozen=True, kw_only=True)
class SoftmaxCase(softmax_nll.SoftmaxCase):
    dtype: torch.dtype = torch.bfloat16

    def build(self, device: str = "cuda") -> Problem:
        problem = super().build(device)
        if len(self.shape) > 2:
            problem.absent |= dict.fromkeys((peer.LIGER, peer.QUACK), "takes [N, C] alone")
            return problem
        if self.weighted or self.label_smoothing or self.target == "probabilities":
            problem.absent |= dict.fromkeys((peer.LIGER, peer.QUACK), "is timed without options alone")
            return problem
        target = problem.target
        peer.add(
            problem,
            peer.LIGER,
            "liger_kernel.transformers.functional",
            "liger_cross_entropy",
            lambda loss: lambda logits: loss(logits, target),
        )
        peer.add(
            problem,
            peer.QUACK,
            "quack.cross_entropy",
            "cross_entropy",
            lambda loss: lambda logits: loss(logits, target, reduction="mean"),
        )
        # Liger writes its gradient over the logits whether asked to or not.
        return replace(problem, overwrites=problem.overwrites | {peer.LIGER})


def _of_the_bandwidth(share: float) -> Goal:
    return Goal(OURS, FLOOR, "within", 1 / share)


_FASTER = Goal(OURS, EAGER, "faster", 1)
_NOT_SLOWER = Goal(OURS, EAGER, "within", 1.05)

CASES = (
    SoftmaxCase(
        name="ce-lm",
        shape=(8192, 128256),
        goals=(_of_the_bandwidth(0.85), Goal(OURS, peer.LIGER, "faster", 1.8)),
    ),
    SoftmaxCase(name="ce-32k", shape=(8192, 32000), runs=3, goals=(_of_the_bandwidth(0.8),)),
    SoftmaxCase(name="ce-4k", shape=(32768, 4096), runs=3, goals=(_of_the_bandwidth(0.8),)),
    SoftmaxCase(name="ce-segmentation", shape=(4, 21, 1024, 1024), runs=3, goals=(_of_the_bandwidth(0.8),)),
    SoftmaxCase(name="ce-f32", shape=(8192, 50257), dtype=torch.float32, goals=(_FASTER,)),
    SoftmaxCase(name="ce-few", shape=(4_000_000, 10), runs=3, goals=(_FASTER,)),
    SoftmaxCase(
        name="ce-options",
        shape=(8192, 32000),
        weighted=True,
        label_smoothing=0.1,
        ignored=0.5,
        runs=3,
        goals=(_FASTER,),
    ),
    SoftmaxCase(name="ce-soft", shape=(32768, 4096), target="probabilities", runs=3, goals=(_FASTER,)),
    # Too small to be bound by anything but the host: no head start, and a loop.
    SoftmaxCase(name="ce-small", shape=(1024, 1000), loops=100, in_place=False, goals=(_NOT_SLOWER,)),
    SoftmaxCase(name="ce-tiny", shape=(32, 10), loops=100, in_place=False, goals=(_NOT_SLOWER,)),
)
