"""One call of one of torch's losses under the watch, by its function and by its module."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from likelihead.watch.record import Record
from likelihead.watch.session import Session

__all__ = ["FORMS", "MODES", "Example", "Seen", "numbers", "raised", "watched"]

_MODULES: dict[str, type[nn.Module]] = {
    "cross_entropy": nn.CrossEntropyLoss,
    "nll_loss": nn.NLLLoss,
    "binary_cross_entropy": nn.BCELoss,
    "binary_cross_entropy_with_logits": nn.BCEWithLogitsLoss,
    "multilabel_soft_margin_loss": nn.MultiLabelSoftMarginLoss,
    "soft_margin_loss": nn.SoftMarginLoss,
    "hinge_embedding_loss": nn.HingeEmbeddingLoss,
    "kl_div": nn.KLDivLoss,
    "mse_loss": nn.MSELoss,
    "l1_loss": nn.L1Loss,
    "smooth_l1_loss": nn.SmoothL1Loss,
    "huber_loss": nn.HuberLoss,
    "gaussian_nll_loss": nn.GaussianNLLLoss,
    "poisson_nll_loss": nn.PoissonNLLLoss,
}
MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "grad": torch.enable_grad,
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
}
FORMS = ("function", "module")


@dataclass(frozen=True, eq=False)
class Example:
    """What a loss is called with; ``more`` stands behind the target."""

    loss: str
    input: Tensor
    target: Tensor
    options: Mapping[str, Any] = field(default_factory=dict)
    more: tuple[Tensor, ...] = ()

    def call(self, form: str = "function") -> Tensor:
        """Call it; the input wants a gradient, where one is recorded."""
        input = self.input.clone().requires_grad_(torch.is_grad_enabled())
        loss = getattr(F, self.loss) if form == "function" else _MODULES[self.loss](**self.options)
        options = self.options if form == "function" else {}
        result: Tensor = loss(input, self.target, *self.more, **options)
        return result


@dataclass(frozen=True)
class Seen:
    """What the watch found, and what the script got."""

    record: Record
    error: Exception | None

    @property
    def codes(self) -> list[str]:
        """Of the findings. What is said of a whole run's first loss says nothing of one call."""
        return [one.code for one in self.record.findings if one.code not in ("LH703", "LH704")]

    @property
    def notes(self) -> dict[str, str]:
        """By their kind."""
        return {note.kind: note.text for note in self.record.notes}


def watched(program: Callable[[], Any], mode: str = "grad") -> Seen:
    """Run it; the watch itself must not have failed."""
    session = Session().start()
    try:
        error = raised(program, mode)
    finally:
        record = session.finish()
    seen = Seen(record, error)
    assert "fault" not in seen.notes, seen.notes
    return seen


def raised(program: Callable[[], Any], mode: str = "grad") -> Exception | None:
    """Run it, and say what it raised."""
    try:
        with MODES[mode](), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, of sizes that broadcast
            program()
    except Exception as error:
        return error
    return None


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal ones, the same each time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
