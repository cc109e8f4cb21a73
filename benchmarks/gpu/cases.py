"""The GPU table."""

from __future__ import annotations

from benchmarks.gpu import linear_kl, linear_softmax_nll, sigmoid_nll, softmax_nll
from likelihead.bench.case import Case

CASES: tuple[Case, ...] = (
    *softmax_nll.CASES,
    *sigmoid_nll.CASES,
    *linear_softmax_nll.CASES,
    *linear_kl.CASES,
)
