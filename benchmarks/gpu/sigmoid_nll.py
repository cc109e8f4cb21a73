"""sigmoid_nll on a GPU; the peers have no such kernel."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from likelihead.bench import sigmoid_nll
from likelihead.bench.case import EAGER, FLOOR, OURS, Goal, Problem


@dataclass(frozen=True, kw_only=True)
class SigmoidCase(sigmoid_nll.SigmoidCase):
    dtype: torch.dtype = torch.bfloat16

    def build(self, device: str = "cuda") -> Problem:
        return super().build(device)


CASES = (
    SigmoidCase(name="bce", shape=(65536, 1000), runs=3, goals=(Goal(OURS, FLOOR, "within", 1 / 0.85),)),
    SigmoidCase(
        name="bce-pos",
        shape=(65536, 1000),
        pos_weighted=True,
        runs=3,
        goals=(Goal(OURS, EAGER, "faster", 1),),
    ),
    SigmoidCase(name="bce-tiny", shape=(32, 1), loops=100, goals=(Goal(OURS, EAGER, "within", 1.05),)),
)
