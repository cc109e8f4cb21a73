"""The head's product and the loss in one, on a GPU, beside every peer that has it.

The floor is the three matrix products alone, over the rows that are not ignored.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as torchs

import likelihead.functional
from benchmarks.gpu import peer
from likelihead.bench.case import EAGER, FLOOR, OURS, Case, Goal, Problem, short_dtype

IGNORED = -100


@dataclass(frozen=True, kw_only=True)
class LinearCase(Case):
    """``shape`` is that of the logits; ``width`` is that of the hidden layer."""

    dtype: torch.dtype = torch.bfloat16
    width: int = 4096
    ignored: float = 0.0

    @property
    def op(self) -> str:
        return "linear_softmax_nll"

    @property
    def what(self) -> str:
        rows, vocab = self.shape
        text = f"linear CE, hidden [{rows}, {self.width}] {short_dtype(self.dtype)}, vocab {vocab}"
        return f"{text}, {self.ignored:.0%} ignored" if self.ignored else text

    def build(self, device: str = "cuda") -> Problem:
        generator = torch.Generator(device).manual_seed(0)
        rows, vocab = self.shape
        hidden = torch.randn(rows, self.width, generator=generator, device=device).to(self.dtype)
        head = torch.randn(vocab, self.width, generator=generator, device=device)
        head = head.mul_(self.width**-0.5).to(self.dtype)
        target = torch.randint(vocab, (rows,), generator=generator, device=device)
        kept = rows - int(rows * self.ignored)
        target[torch.randperm(rows, generator=generator, device=device)[kept:]] = IGNORED

        upstream = torch.randn(kept, vocab, generator=generator, device=device, dtype=torch.float32)
        upstream, rows_kept = upstream.to(self.dtype), hidden[:kept].clone()

        def products() -> None:
            rows_kept @ head.detach().T
            upstream @ head.detach()
            upstream.T @ rows_kept

        problem = Problem(
            leaves=(hidden.requires_grad_(), head.requires_grad_()),
            target=target,
            losses={EAGER: lambda hidden, head: torchs.cross_entropy(hidden @ head.T, target)},
            floor=products,
        )
        ours = getattr(likelihead.functional, "linear_cross_entropy", None)
        if ours is None:
            problem.absent[OURS] = "not there: likelihead.functional has no linear_cross_entropy"
        else:
            problem.losses[OURS] = lambda hidden, head: ours(hidden, head, target)
        peer.add(
            problem,
            peer.LIGER,
            "liger_kernel.transformers.functional",
            "liger_fused_linear_cross_entropy",
            lambda loss: lambda hidden, head: loss(hidden, head, target),
        )
        peer.add(
            problem,
            peer.CUT,
            "cut_cross_entropy",
            "linear_cross_entropy",
            lambda loss: lambda hidden, head: loss(hidden, head, target),
        )
        peer.add(
            problem,
            peer.CHUNKED,
            "torch.nn",
            "LinearCrossEntropyOptions",
            lambda options: (
                lambda hidden, head: torchs.linear_cross_entropy(hidden, head, target, options=options())
            ),
        )
        return problem


_GOALS = (
    Goal(OURS, FLOOR, "within", 1.05),
    *(Goal(OURS, name, "faster", 1) for name in (EAGER, peer.LIGER, peer.CUT, peer.CHUNKED)),
)

CASES = (
    LinearCase(name="linear", shape=(8192, 128256), goals=_GOALS),
    LinearCase(name="linear-sft", shape=(8192, 128256), ignored=0.75, goals=_GOALS),
)
