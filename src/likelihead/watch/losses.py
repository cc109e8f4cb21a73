"""The losses that are looked at: what each is called, takes and expects."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch.nn.functional as F

from likelihead.guard.report import LossName

__all__ = ["LOSSES", "Expected", "LossSpec"]

Expected = Literal["logits", "log-probabilities", "probabilities", "numbers", "scores"]


@dataclass(frozen=True)
class LossSpec:
    """One loss.

    Attributes:
        name: its name.
        expects: what its input is.
        guard: what the guard calls it, where it knows it.
        names: its arguments, in their order.
        library: ``"torch"``, ``"keras"``, ``"likelihead"``.
    """

    name: str
    expects: Expected
    guard: LossName | None
    names: tuple[str, ...]
    library: str = "torch"

    @property
    def by_class(self) -> bool:
        """Whether the classes exclude each other."""
        return self.guard in ("cross_entropy", "nll")

    @property
    def binary(self) -> bool:
        """Whether each number has a probability of its own."""
        return self.guard in ("bce", "bce_with_logits", "multilabel_soft_margin")

    @property
    def target(self) -> str:
        """Which of its arguments is the target; between a linear loss's own two stands the head."""
        return "target" if self.names[1] == "linear_weight" else self.names[1]

    def bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by name, those that were given."""
        return dict(zip(self.names, args, strict=False)) | kwargs


_EXPECTS: dict[str, tuple[Expected, LossName | None]] = {
    "cross_entropy": ("logits", "cross_entropy"),
    "nll_loss": ("log-probabilities", "nll"),
    "binary_cross_entropy": ("probabilities", "bce"),
    "binary_cross_entropy_with_logits": ("logits", "bce_with_logits"),
    "multilabel_soft_margin_loss": ("logits", "multilabel_soft_margin"),
    "soft_margin_loss": ("logits", None),
    "kl_div": ("log-probabilities", None),
    "mse_loss": ("numbers", "mse"),
    "l1_loss": ("numbers", None),
    "smooth_l1_loss": ("numbers", None),
    "huber_loss": ("numbers", None),
    "gaussian_nll_loss": ("numbers", "gaussian_nll"),
    "poisson_nll_loss": ("numbers", None),
    "multi_margin_loss": ("scores", None),
    "multilabel_margin_loss": ("scores", None),
    "hinge_embedding_loss": ("scores", None),
    "cosine_embedding_loss": ("scores", None),
    "margin_ranking_loss": ("scores", None),
    "triplet_margin_loss": ("scores", None),
    "triplet_margin_with_distance_loss": ("scores", None),
    "ctc_loss": ("log-probabilities", None),
    "linear_cross_entropy": ("numbers", None),  # hidden states; since torch 2.13
}


@cache
def _spec(name: str, function: Callable[..., Any]) -> LossSpec:
    expects, guard = _EXPECTS[name]
    return LossSpec(name, expects, guard, tuple(inspect.signature(function).parameters))


LOSSES: dict[str, LossSpec] = {name: _spec(name, getattr(F, name)) for name in _EXPECTS if hasattr(F, name)}
"""By their names in ``torch.nn.functional``."""
