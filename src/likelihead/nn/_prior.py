"""The prior that the labels of binary losses are drawn towards, as a module keeps it."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["keep_prior"]


def keep_prior(module: torch.nn.Module, prior: float | Tensor | None) -> None:
    """Keep a prior: a number as it is, a tensor as a buffer that moves with the module."""
    if isinstance(prior, Tensor):
        module.register_buffer("prior", prior, persistent=False)
    else:
        module.prior = prior  # type: ignore[assignment]
