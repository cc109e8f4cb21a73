"""All figures of a task: each against scikit-learn, with ignored and missing targets, maps and masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics

from likelihead.errors import OptionError
from likelihead.evaluate import for_likelihood
from likelihead.evaluate.task_metrics import MANY_CLASSES
from likelihead.likelihoods import Bernoulli, Categorical, Gaussian, MultiLabel


def test_classes() -> None:
    logits, target = torch.randn(90, 4, dtype=torch.float64), torch.randint(4, (90,))
    train = torch.tensor([0, 0, 1, 2, 3, 3, 3])
    figures = for_likelihood(Categorical(4), train_targets=train, keep_scores=True, top_k=2)
    padded = torch.cat([logits, torch.zeros(10, 4)])
    figures.update(padded, torch.cat([target, torch.full((10,), -100)]))
    got = figures.compute()
    p, y, said = torch.softmax(logits, 1).numpy(), target.numpy(), logits.argmax(1).numpy()
    expected = {
        "count": 90,
        "nll": metrics.log_loss(y, p, labels=range(4)),
        "perplexity": math.exp(metrics.log_loss(y, p, labels=range(4))),
        "accuracy": metrics.accuracy_score(y, said),
        "top_2": metrics.top_k_accuracy_score(y, p, k=2, labels=range(4)),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, said),
        "macro_f1": metrics.f1_score(y, said, average="macro"),
        "macro_precision": metrics.precision_score(y, said, average="macro"),
        "macro_iou": metrics.jaccard_score(y, said, average="macro"),
        "brier": ((p - np.eye(4)[y]) ** 2).sum(1).mean(),
        "roc_auc": metrics.roc_auc_score(y, p, multi_class="ovr", labels=range(4)),
        "average_precision": metrics.average_precision_score(np.eye(4)[y], p),
    }
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=1e-9), name
    parts = got["brier_reliability"] - got["brier_resolution"] + got["brier_uncertainty"]
    assert parts + got["brier_within_bins"] == pytest.approx(got["brier"], rel=1e-9)
    prior = np.bincount(train) / len(train)
    assert got["prior_nll"] == pytest.approx(-np.log(prior)[y].mean(), rel=1e-9)
    assert got["gain"] == pytest.approx(got["prior_nll"] - got["nll"], rel=1e-9, abs=1e-12)
    low, high = got["smooth_ece_interval"]
    assert low <= got["smooth_ece"] <= high
    assert "kl" not in got
    assert got["recall_each"] == pytest.approx(
        metrics.recall_score(y, said, average=None).tolist(), rel=1e-9, abs=1e-12
    )


def test_maps_are_rows() -> None:
    logits, target = torch.randn(60, 3), torch.randint(3, (60,))
    rows, maps = for_likelihood(Categorical(3)), for_likelihood(Categorical(3))
    rows.update(logits, target)
    maps.update(logits.reshape(3, 4, 5, 3).movedim(-1, 1), target.reshape(3, 4, 5))
    assert str(maps.compute()) == str(rows.compute())


def test_soft_targets() -> None:
    logits = torch.randn(40, 3, dtype=torch.float64)
    shares = torch.softmax(torch.randn(40, 3, dtype=torch.float64), 1)
    figures = for_likelihood(Categorical(3))
    figures.update(logits, shares)
    got, p = figures.compute(), torch.softmax(logits, 1)
    kl = (shares * (shares.log() - p.log())).sum(1).mean().item()
    assert got["kl"] == pytest.approx(kl, rel=1e-9)
    assert got["nll"] == pytest.approx(-(shares * p.log()).sum(1).mean().item(), rel=1e-9)
    assert got["brier"] == pytest.approx((p - shares).square().sum(1).mean().item(), rel=1e-9)
    assert got["accuracy"] == pytest.approx(
        (logits.argmax(1) == shares.argmax(1)).double().mean().item(), rel=1e-9, abs=1e-12
    )
    perfect = for_likelihood(Categorical(3))
    perfect.update(shares.log(), shares)
    assert perfect.compute()["kl"] == pytest.approx(0, abs=1e-12)
    assert perfect.compute()["brier"] == pytest.approx(0, abs=1e-12)


def test_labels() -> None:
    logits, target = torch.randn(50, 3, dtype=torch.float64), (torch.rand(50, 3) < 0.4).double()
    known = torch.rand(50, 3) < 0.8
    by_nan, by_mask = (for_likelihood(MultiLabel(3), keep_scores=True) for _ in range(2))
    by_nan.update(logits, torch.where(known, target, math.nan))
    by_mask.update(torch.where(known, logits, math.nan), target, mask=known)
    got = by_nan.compute()
    assert str(got) == str(by_mask.compute())
    y, p = target[known].numpy(), torch.sigmoid(logits)[known].numpy()
    assert got["nll"] == pytest.approx(metrics.log_loss(y, p), rel=1e-9)
    assert got["brier"] == pytest.approx(metrics.brier_score_loss(y, p), rel=1e-9)
    assert got["accuracy"] == pytest.approx(metrics.accuracy_score(y, p > 0.5), rel=1e-9, abs=1e-12)
    assert got["micro_f1"] == pytest.approx(metrics.f1_score(y, p > 0.5), rel=1e-9, abs=1e-12)
    columns = [
        (target[known[:, k], k].numpy(), torch.sigmoid(logits)[known[:, k], k].numpy()) for k in range(3)
    ]
    f1 = [metrics.f1_score(a, b > 0.5) for a, b in columns]
    assert got["f1_each"] == pytest.approx(f1, rel=1e-9, abs=1e-12)
    assert got["macro_f1"] == pytest.approx(np.mean(f1), rel=1e-9, abs=1e-12)
    assert got["roc_auc"] == pytest.approx(
        np.mean([metrics.roc_auc_score(*column) for column in columns]), rel=1e-9, abs=1e-12
    )
    right = ((logits > 0) == (target > 0)) | ~known
    assert got["exact_match"] == pytest.approx(
        right.all(1)[known.any(1)].double().mean().item(), rel=1e-9, abs=1e-12
    )


def test_yes_or_no_of_any_integer_dtype() -> None:
    logits, target = torch.randn(40, 1, dtype=torch.float64), torch.randint(2, (40, 1))
    figures = for_likelihood(Bernoulli(), keep_scores=True, train_targets=target)
    figures.update(logits[:10], target[:10].bool())
    figures.update(logits[10:], target[10:].to(torch.uint8))
    got = figures.compute()
    y, p = target.flatten().numpy(), torch.sigmoid(logits).flatten().numpy()
    assert got["nll"] == pytest.approx(metrics.log_loss(y, p), rel=1e-9)
    assert got["recall"] == pytest.approx(metrics.recall_score(y, p > 0.5), rel=1e-9, abs=1e-12)
    assert got["average_precision"] == pytest.approx(
        metrics.average_precision_score(y, p), rel=1e-9, abs=1e-12
    )
    assert got["prior_nll"] == pytest.approx(metrics.log_loss(y, np.full(40, y.mean())), rel=1e-9)
    assert "roc_auc_each" not in got


def test_numbers() -> None:
    target = 50 + torch.randn(30, 1, dtype=torch.float64)
    figures = for_likelihood(Gaussian(), train_targets=target)
    figures.update(target + 0.5, target)
    got = figures.compute()
    assert got["rmse"] == pytest.approx(0.5, rel=1e-9, abs=1e-12)
    assert got["r2"] == pytest.approx(metrics.r2_score(target, target + 0.5), rel=1e-9, abs=1e-12)
    assert got["gain"] > 0


def test_a_vocabulary_has_no_matrix() -> None:
    size = MANY_CLASSES + 1
    figures = for_likelihood(Categorical(size))
    figures.update(torch.zeros(2, size), torch.tensor([0, 5]))
    got = figures.compute()
    assert got["perplexity"] == pytest.approx(size, rel=1e-6)
    assert "confusion" not in figures.figures
    assert "macro_f1" not in got


def test_ready_log_probabilities_may_be_above_zero_by_a_rounding() -> None:
    figures = for_likelihood(Categorical.from_log_probs(2))
    figures.update(torch.tensor([[1e-7, -30.0]]), torch.tensor([0]))
    assert figures.compute()["accuracy"] == 1


def test_refusals() -> None:
    with pytest.raises(OptionError, match="load_state"):
        type(for_likelihood(Bernoulli())).from_state(for_likelihood(Bernoulli()).state())
    with pytest.raises(OptionError, match="mask is for labels"):
        for_likelihood(Categorical(3)).update(torch.zeros(1, 3), torch.tensor([0]), mask=torch.tensor([True]))
    with pytest.raises(OptionError, match="expected a Categorical, a Bernoulli"):
        for_likelihood(torch.nn.Identity())  # type: ignore[arg-type]
