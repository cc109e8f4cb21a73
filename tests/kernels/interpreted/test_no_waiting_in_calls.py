"""The calls of the Triton kernels themselves, plans and all: nothing in them waits for a GPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from likelihead.kernels.triton import (
    flags,
    plans,
    scale,
    sigmoid_nll,
    softmax_kl,
    softmax_nll,
    softmax_scores,
)
from no_waiting import Waits, no_waiting

X, Y, P = torch.randn(6, 5), torch.tensor([0, 1, 2, 3, 4, -100]), torch.rand(6, 5)
W, EACH, WHERE = torch.rand(5) + 0.5, torch.rand(6), torch.ones(6, 5, dtype=torch.bool)
CLASSES: tuple[Any, ...] = (W, 0.1, -100, 0.01, 5.0, W, True, WHERE, 0.0, EACH)
LABELS: tuple[Any, ...] = (W, P + 0.5, WHERE, True, True, 0.1, W / 2, 2.0, 0.25, EACH)
ONE = torch.tensor(0.5)


@pytest.mark.parametrize("target", [Y, P], ids=["index", "probabilities"])
@pytest.mark.parametrize("mean", [True, False])
def test_classes(target: Tensor, mean: bool) -> None:
    given = (X, target, *CLASSES)
    with no_waiting():
        softmax_nll.softmax_nll(*given)
        softmax_nll.softmax_nll_backward(EACH, EACH, 1.0, mean, *given)
        _, grad = softmax_nll.softmax_loss(*given, mean, None, True)
        softmax_nll.softmax_loss(*given, mean, 3.0, False)
        softmax_nll.softmax_loss_(X.clone(), *given[1:], mean, None)
        softmax_nll.softmax_loss_backward_(grad, ONE, *given, mean, None)


@pytest.mark.parametrize("mean", [True, False])
def test_labels(mean: bool) -> None:
    given = (X, P, *LABELS)
    with no_waiting():
        sigmoid_nll.sigmoid_nll(*given)
        sigmoid_nll.sigmoid_nll_backward(P, 1.0, *given)
        _, grad = sigmoid_nll.sigmoid_loss(*given, mean, None, True)
        sigmoid_nll.sigmoid_loss_backward_(grad, ONE, *given, mean, None)
        scale.scale_(grad, ONE, True)
        flags.check(X.device)


@pytest.mark.parametrize("direction", ["forward", "reverse", "jsd"])
def test_divergences(direction: str) -> None:
    with no_waiting():
        softmax_kl.softmax_kl_(None, X, P, direction, 0.5, 0.0, 0.0)
        softmax_kl.softmax_kl_(EACH, X.clone(), P, direction, 0.5, 5.0, 4.0)
        softmax_kl.softmax_kl_(ONE, X.clone(), P, direction, 0.5, 0.0, 0.0)


@pytest.mark.parametrize("prediction", [True, False])
def test_scores(prediction: bool) -> None:
    with no_waiting():
        softmax_scores.softmax_scores_(None, None, None, X, Y, -100, 0.0, prediction)
        softmax_scores.softmax_scores_(ONE, EACH, EACH, X.clone(), Y, -100, 5.0, prediction)
        flags.check(X.device)


def test_what_waits_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    of = flags.of
    monkeypatch.setattr(plans, "_plans", {})

    def waiting(device: torch.device) -> tuple[Tensor, Tensor]:
        counter, slots = of(device)
        assert counter.item() >= 0
        return counter, slots

    monkeypatch.setattr(flags, "of", waiting)
    with pytest.raises(Waits), no_waiting():
        softmax_nll.softmax_nll(X, Y, *CLASSES)
