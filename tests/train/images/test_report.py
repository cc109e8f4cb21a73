"""What the report of a segmentation says first."""

from __future__ import annotations

import pytest

from likelihead.train.images.segment_report import _summary

ROWS = [{"name": "a", "iou": 0.5}, {"name": "b", "iou": 0.25}]


@pytest.mark.parametrize(
    ("nll", "words"),
    [
        (0.25, "explains 75.0%"),
        (1.5, "no better than the class-prior baseline"),
        (4000.0, "has failed: it is certain of wrong answers, far worse than the class-prior baseline"),
        (None, "mean NLL is not a number"),
    ],
)
def test_the_first_sentence(nll: float | None, words: str) -> None:
    figures = {"nll": nll, "baseline_nll": 1.0, "pixel_accuracy": 0.5, "mean_iou": 0.375}
    lines = _summary(figures, ROWS)
    assert words in lines[0]
    assert "lowest, 0.250, for b" in lines[1]
