"""IoU, Dice, accuracy and NLL of pixels against scikit-learn and a float64 oracle, however they are split."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from torch import Tensor

from likelihead.likelihoods import Bernoulli, Categorical, Likelihood
from likelihead.train.images.schema import IGNORE, ImageSchema
from likelihead.train.images.tally import PixelTally


def schema(classes: int) -> ImageSchema:
    names = tuple(f"c{i}" for i in range(classes))
    return ImageSchema("segmentation", names, (1,) * classes, 1, (0.0,), (1.0,), (8, 8), 2, 1, 0, 0.2)


def likelihood(classes: int) -> Likelihood:
    return Bernoulli() if classes == 2 else Categorical(classes, ignore_index=IGNORE)


def probabilities(logits: Tensor) -> np.ndarray:
    """In numpy and float64, ``[N, K]``."""
    z = logits.double().movedim(1, -1).flatten(0, -2).numpy()
    if z.shape[1] == 1:
        z = np.concatenate([np.zeros_like(z), z], axis=1)
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@settings(max_examples=40)
@given(classes=st.integers(2, 5), seed=st.integers(0, 10**6), cuts=st.integers(1, 4))
def test_figures(classes: int, seed: int, cuts: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, 1 if classes == 2 else classes, 5, 7, generator=generator) * 2
    true = torch.randint(0, classes, (6, 5, 7), generator=generator)
    true[torch.rand(true.shape, generator=generator) < 0.2] = IGNORE
    tally = PixelTally(likelihood(classes), schema(classes))
    for part, target in zip(logits.tensor_split(cuts), true.tensor_split(cuts), strict=True):
        tally.add(part, target)
    constant = (0.3,) if classes == 2 else tuple(0.1 * c for c in range(classes))
    figures = tally.figures(constant)
    y, p = true.flatten().numpy(), probabilities(logits)
    known = y != IGNORE
    y, p = y[known], p[known]
    said = p.argmax(1)
    labels = list(range(classes))
    assert figures["pixels"] == len(y)
    assert figures["pixels_not_labelled"] == int((~known).sum())
    assert figures["pixel_accuracy"] == pytest.approx(metrics.accuracy_score(y, said), abs=1e-9)
    iou = metrics.jaccard_score(y, said, labels=labels, average=None)
    dice = metrics.f1_score(y, said, labels=labels, average=None)
    assert [row["iou"] for row in figures["per_class"]] == pytest.approx(iou.tolist(), abs=1e-9)
    assert [row["dice"] for row in figures["per_class"]] == pytest.approx(dice.tolist(), abs=1e-9)
    assert figures["mean_iou"] == pytest.approx(iou.mean(), abs=1e-9)
    assert figures["nll"] == pytest.approx(-np.log(p[np.arange(len(y)), y]).mean(), rel=1e-5)
    prior = probabilities(torch.tensor(constant).reshape(1, -1, 1, 1))[0]
    assert figures["baseline_nll"] == pytest.approx(-np.log(prior[y]).mean(), rel=1e-6)
    for c, row in enumerate(figures["per_class"]):
        assert row["support"] == int((y == c).sum())
        assert row["nll"] == pytest.approx(-np.log(p[y == c, c]).mean(), rel=1e-5)


def test_a_class_that_is_nowhere_is_undefined_and_not_in_the_mean() -> None:
    tally = PixelTally(likelihood(3), schema(3))
    logits = torch.zeros(1, 3, 1, 2)
    logits[0, 1, 0, 1] = 5.0
    tally.add(logits, torch.tensor([[[0, 1]]]))
    figures = tally.figures((0.0, 0.0, 0.0))
    assert [row["iou"] for row in figures["per_class"]] == [1.0, 1.0, None]
    assert figures["mean_iou"] == 1.0


def test_nothing_labelled() -> None:
    tally = PixelTally(likelihood(2), schema(2))
    tally.add(torch.zeros(1, 1, 2, 2), torch.full((1, 2, 2), IGNORE))
    assert math.isnan(tally.mean_nll)
    figures = tally.figures((0.0,))
    assert (figures["pixels"], figures["pixels_not_labelled"], figures["nll"]) == (0, 4, None)
