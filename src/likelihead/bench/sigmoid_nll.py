"""The cases of sigmoid_nll on a CPU: binary cross-entropy from the logits to their gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as torchs
from torch import Tensor

from likelihead.bench.case import EAGER, FLOOR, OURS, Case, Goal, Problem, short_dtype
from likelihead.functional import binary_cross_entropy_with_logits

__all__ = ["CASES", "SigmoidCase"]


@dataclass(frozen=True, kw_only=True)
class SigmoidCase(Case):
    """A binary cross-entropy with logits; ``pos_weighted``: with a weight of the positives per label."""

    pos_weighted: bool = False

    @property
    def op(self) -> str:
        return "sigmoid_nll"

    @property
    def what(self) -> str:
        what = f"BCE-with-logits {list(self.shape)} {short_dtype(self.dtype)}"
        return f"{what}, pos_weight" if self.pos_weighted else what

    def build(self, device: str = "cpu") -> Problem:
        """Standard normal logits, times 3; one label in five is positive."""
        generator = torch.Generator(device).manual_seed(0)
        logits = torch.randn(self.shape, generator=generator, device=device).mul_(3).to(self.dtype)
        target = (torch.rand(self.shape, generator=generator, device=device) < 0.2).to(self.dtype)
        pos_weight = None
        if self.pos_weighted:
            pos_weight = torch.rand(self.shape[-1], generator=generator, device=device).add_(0.5)
            pos_weight = pos_weight.to(self.dtype)
        copy = torch.empty_like(logits)
        return Problem(
            leaves=(logits.requires_grad_(),),
            target=target,
            losses={
                OURS: partial(_loss, binary_cross_entropy_with_logits, target, pos_weight),
                EAGER: partial(_loss, torchs.binary_cross_entropy_with_logits, target, pos_weight),
            },
            floor=partial(copy.copy_, logits.detach()),
        )


def _loss(
    function: Callable[..., Tensor], target: Tensor, pos_weight: Tensor | None, logits: Tensor
) -> Tensor:
    return function(logits, target) if pos_weight is None else function(logits, target, pos_weight=pos_weight)


_MULTILABEL = (Goal(OURS, EAGER, "faster", 5), Goal(OURS, FLOOR, "within", 2))

CASES: tuple[SigmoidCase, ...] = (
    SigmoidCase(name="multilabel", shape=(4096, 1000), runs=3, goals=_MULTILABEL),
    SigmoidCase(name="multilabel-pos", shape=(4096, 1000), runs=3, pos_weighted=True, goals=_MULTILABEL),
    SigmoidCase(name="tiny-bce", shape=(10, 1), runs=2, loops=500, goals=(Goal(OURS, EAGER, "within", 1.1),)),
)
