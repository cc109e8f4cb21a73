"""Rows of different lengths, a model of their words, and what a watch finds about their padding."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import likelihead
from likelihead.watch.record import Finding

__all__ = ["Model", "V", "filled", "scored", "sentences", "watched"]

V = 40


class Model(nn.Module):
    """Scores ``[B, T, V]`` for ids ``[B, T]``."""

    def __init__(self, padding_idx: int | None = None, classes: int = V) -> None:
        super().__init__()
        self.embed = nn.Embedding(V, 8, padding_idx=padding_idx)
        self.head = nn.Linear(8, classes)

    def forward(self, ids: Tensor) -> Tensor:
        scores: Tensor = self.head(self.embed(ids))
        return scores


def sentences(seed: int, count: int = 8, low: int = 3, least: int = 2, most: int = 9) -> list[Tensor]:
    """Of words from ``low`` on."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(least, most + 1, (count,), generator=generator).tolist()
    return [torch.randint(low, V, (length,), generator=generator) for length in lengths]


def filled(rows: list[Tensor], value: int, to: int | None = None) -> Tensor:
    """Rows of one length, made from lists as a worker's collate function does it."""
    to = max(len(row) for row in rows) if to is None else to
    return torch.tensor([row.tolist() + [value] * (to - len(row)) for row in rows])


def watched(step: Callable[[int], Tensor], steps: int = 3) -> list[Finding]:
    """What is found about padding in so many steps."""
    with likelihead.watch(show=False) as w:
        for number in range(steps):
            loss = step(number)
            if loss.requires_grad:
                torch.autograd.backward(loss)
    assert not [note.text for note in w.record.notes if note.kind == "fault"]
    return [found for found in w.record.findings if found.code in ("LH401", "LH403")]


def scored(scores: Tensor, target: Tensor, **options: object) -> Tensor:
    """The loss of scores ``[B, T, V]`` and targets ``[B, T]``, made flat."""
    return F.cross_entropy(scores.reshape(-1, scores.size(-1)), target.reshape(-1), **options)  # type: ignore[arg-type]
