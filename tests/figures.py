"""Every accumulator with what it is fed, and figures of any form compared number by number."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from likelihead.evaluate import (
    NLL,
    Accuracy,
    BitsPerByte,
    Brier,
    BrierDecomposition,
    CalibrationError,
    ConfusionMatrix,
    ExactMatch,
    InformationGain,
    LabelConfusion,
    Ranking,
    Regression,
    SmoothECE,
    TopKAccuracy,
    for_likelihood,
)
from likelihead.likelihoods import Bernoulli, Categorical, Gaussian, MultiLabel

N, C = 36, 4


def _data() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(N, C, generator=generator, dtype=torch.float64) * 2
    target = torch.randint(C, (N,), generator=generator)
    return {
        "logits": logits,
        "probs": torch.softmax(logits, 1),
        "said": logits.argmax(1),
        "target": target,
        "labels": (torch.rand(N, C, generator=generator) < 0.4).double(),
        "yes": torch.sigmoid(logits),
        "decided": (logits > 0).long(),
        "nll": torch.rand(N, generator=generator, dtype=torch.float64) * 5,
        "prior": torch.rand(N, generator=generator, dtype=torch.float64) * 5,
        "shares": torch.softmax(logits.flip(0), 1),
        "numbers": logits.flip(1),
    }


DATA = _data()

Case = tuple[Callable[..., Any], tuple[str, ...], str]

# What is fed; the last column is the target. "class": integers that ignore_index marks; "real": NaN marks;
# "none": values without a target.
CASES: dict[str, Case] = {
    "NLL": (NLL, ("nll",), "none"),
    "InformationGain": (InformationGain, ("nll", "prior"), "none"),
    "BitsPerByte": (lambda **o: BitsPerByte(torch.tensor([1, 1, 2, 5]), **o), ("nll", "target"), "class"),
    "Accuracy": (Accuracy, ("said", "target"), "class"),
    "Accuracy of labels": (Accuracy, ("decided", "labels"), "real"),
    "TopKAccuracy": (lambda **o: TopKAccuracy(2, **o), ("logits", "target"), "class"),
    "ExactMatch": (ExactMatch, ("decided", "labels"), "real"),
    "ConfusionMatrix": (lambda **o: ConfusionMatrix(C, **o), ("said", "target"), "class"),
    "LabelConfusion": (lambda: LabelConfusion(C), ("decided", "labels"), "real"),
    "Brier": (Brier, ("probs", "target"), "class"),
    "Brier of labels": (Brier, ("yes", "labels"), "real"),
    "BrierDecomposition": (lambda: BrierDecomposition(C), ("yes", "labels"), "real"),
    "CalibrationError": (CalibrationError, ("yes", "labels"), "real"),
    "CalibrationError of equal mass": (lambda: CalibrationError(5, "mass"), ("yes", "labels"), "real"),
    "SmoothECE": (lambda: SmoothECE(64), ("yes", "labels"), "real"),
    "Ranking": (lambda: Ranking(C), ("yes", "labels"), "real"),
    "Regression": (Regression, ("yes", "numbers"), "real"),
    "Metrics of classes": (
        lambda **o: for_likelihood(Categorical(C, **o), train_targets=DATA["target"], top_k=2),
        ("logits", "target"),
        "class",
    ),
    "Metrics of shares": (
        lambda: for_likelihood(Categorical(C), train_targets=DATA["shares"]),
        ("logits", "shares"),
        "real",
    ),
    "Metrics of labels": (
        lambda: for_likelihood(MultiLabel(C), train_targets=DATA["labels"]),
        ("logits", "labels"),
        "real",
    ),
    "Metrics of yes or no": (
        lambda: for_likelihood(Bernoulli(), train_targets=DATA["labels"]),
        ("logits", "labels"),
        "real",
    ),
    "Metrics of numbers": (
        lambda: for_likelihood(Gaussian(), train_targets=DATA["numbers"]),
        ("logits", "numbers"),
        "real",
    ),
}


def flat(value: Any) -> list[float]:
    """A figure, whatever its form, as a list of numbers."""
    if isinstance(value, dict):
        return [x for name in sorted(value) for x in flat(value[name])]
    if dataclasses.is_dataclass(value):
        return flat(dataclasses.asdict(value))  # type: ignore[arg-type]
    if isinstance(value, Tensor):
        return [float(x) for x in value.flatten()]
    return [x for v in value for x in flat(v)] if isinstance(value, (list, tuple)) else [float(value)]


def agree(first: Any, second: Any, rel: float = 1e-9) -> bool:
    """Whether two figures are the same but for rounding."""
    return flat(first) == pytest.approx(flat(second), rel=rel, abs=1e-3 * rel, nan_ok=True)


def figures_of(figure: Any) -> Any:
    """All that an accumulator tells."""
    if isinstance(figure, ConfusionMatrix):
        rates = figure.rates()
        names = ("precision", "recall", "f1", "iou")
        return [figure.compute(), [rates.macro(n) for n in names], [getattr(rates, n) for n in names]]
    if isinstance(figure, Regression):
        return [figure.rmse, figure.mae, figure.r2, figure.count]
    if isinstance(figure, Ranking):
        return [figure.roc_auc(), figure.average_precision(), figure.tune(fallback=0.5).value]
    if isinstance(figure, NLL):
        return [figure.compute(), figure.count]
    return figure.compute()


def fed(case: Case, options: dict[str, Any], columns: list[Tensor], **marks: Tensor) -> Any:
    figure = case[0](**options)
    figure.update(*columns, **marks)
    return figure
