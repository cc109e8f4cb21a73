"""LH111 and LH115: what ``from_logits`` says of the input of an overlap loss, and what the input is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from likelihead import functional as F
from likelihead.errors import LikelihoodWarning, MisuseError
from likelihead.guard.switch import guard

TARGET = torch.randint(3, (2, 4, 4), generator=torch.Generator().manual_seed(0))
LABELS = nn.functional.one_hot(TARGET, 3).movedim(-1, 1)
TASKS = {"multiclass": TARGET, "multilabel": LABELS}


def logits() -> Tensor:
    return 3 * torch.randn(2, 3, 4, 4, requires_grad=True)


def layer() -> Tensor:
    return nn.Conv2d(2, 3, 1)(torch.randn(2, 2, 4, 4))


def channels_last_layer() -> Tensor:
    return nn.Linear(2, 3)(torch.randn(2, 4, 4, 2)).movedim(-1, 1)


def softmax_of_two_steps() -> Tensor:
    return torch.softmax(logits().flatten(2), 1).view(2, 3, 4, 4)


CASES: list[tuple[str | None, str, bool, Callable[[], Tensor]]] = [
    ("LH111", "multiclass", False, layer),
    ("LH111", "multilabel", False, layer),
    ("LH111", "multiclass", False, channels_last_layer),
    ("LH111", "multiclass", False, lambda: logits().log_softmax(1)),
    ("LH111", "multilabel", False, lambda: nn.functional.logsigmoid(logits())),
    ("LH115", "multiclass", True, lambda: logits().softmax(1)),
    ("LH115", "multiclass", True, softmax_of_two_steps),
    ("LH115", "multiclass", True, lambda: logits().sigmoid()),
    ("LH115", "multilabel", True, lambda: logits().sigmoid()),
    ("LH115", "multilabel", True, lambda: logits().softmax(1)),
    ("LH115", "multilabel", True, lambda: nn.functional.logsigmoid(logits())),
    (None, "multiclass", True, layer),
    (None, "multiclass", True, logits),
    (None, "multiclass", True, lambda: logits().log_softmax(1)),  # its softmax gives the probabilities back
    (None, "multiclass", True, lambda: nn.functional.relu(layer())),
    (None, "multiclass", False, lambda: logits().softmax(1)),
    (None, "multiclass", False, lambda: logits().sigmoid()),  # one label for each class, with one of them set
    (None, "multilabel", False, lambda: logits().sigmoid() + 1e-6),
    (None, "multilabel", False, lambda: logits().softmax(1).half()),
    (None, "multilabel", False, lambda: nn.functional.relu(logits()).clamp(max=1)),
    (None, "multilabel", False, lambda: torch.rand(2, 3, 4, 4)),
]


@pytest.mark.parametrize("level", ["cheap", "full"])
@pytest.mark.parametrize("loss", [F.dice_loss, F.focal_tversky_loss, F.lovasz_loss])
@pytest.mark.parametrize(("code", "task", "from_logits", "make"), CASES)
def test_by_the_graph(
    code: str | None, task: str, from_logits: bool, make: Callable[[], Tensor], loss: Any, level: Any
) -> None:
    torch.manual_seed(0)
    input = make()
    with guard(level), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loss(input, TASKS[task], task=task, from_logits=from_logits)
    assert [getattr(w.message, "code", None) for w in caught] == ([] if code is None else [code])
    if code is not None:
        with guard(action="raise"), pytest.raises(MisuseError, match=code):
            loss(input, TASKS[task], task=task, from_logits=from_logits)
    with guard("off", action="raise"):
        loss(input, TASKS[task], task=task, from_logits=from_logits)


def test_logits_by_their_values() -> None:
    input = torch.full((2, 3, 4, 4), 0.5)
    input[1, 2, 3, 0] = -1.5
    F.dice_loss(input, LABELS, task="multilabel", from_logits=False)  # no graph, and nobody looks
    with guard("full"), pytest.warns(LikelihoodWarning, match=r"-1.5 at \[1, 2, 3, 0\].*LH111"):
        F.dice_loss(input, LABELS, task="multilabel", from_logits=False)
    with guard("full", action="raise"):
        # Where the pixel is missing, its number is nobody's business.
        mask = torch.ones(2, 4, 4, dtype=torch.bool)
        mask[1, 3, 0] = False
        F.dice_loss(input, LABELS, task="multilabel", from_logits=False, mask=mask)
        ignored = TARGET.clone()
        ignored[1, 3, 0] = -100
        F.dice_loss(input, ignored, from_logits=False)


def test_probabilities_by_their_values() -> None:
    probs = torch.randn(2, 3, 4, 4).softmax(1)
    F.dice_loss(probs, TARGET, from_logits=True)
    with guard("full"), pytest.warns(LikelihoodWarning, match="sums to one over the classes.*LH115"):
        F.dice_loss(probs, TARGET, from_logits=True)
    with guard("full", action="raise"):
        F.dice_loss(probs - 0.1, TARGET, from_logits=True)
        F.dice_loss(probs, TARGET, from_logits=False)
