"""What numbers that are made of losses are made of: how much of which loss call."""

from __future__ import annotations

import math
import os
import sys
from typing import Any

from torch import Tensor

from likelihead.watch.tags import LossTerm, Tag

__all__ = ["added", "averaged", "joined", "scaled", "summed"]

_MOST_TERMS = 4096  # of a sum over the time steps of a long sequence, say


def scaled(tag: Tag, by: Any, *, divide: bool = False) -> Tag:
    """A loss times a number or a tensor, or divided by it."""
    factor = _read(by)
    if factor is None and not divide and _is_grad_scaler():
        return tag  # the optimizer divides by it again
    if divide and factor is not None:
        factor = 1 / factor if factor else None
    if factor == 1:
        return tag
    terms = tuple(
        LossTerm(
            term.call,
            term.site,
            None if factor is None or term.factor is None else term.factor * factor,
            term.mean,
            term.count,
        )
        for term in tag.terms
    )
    return tag.but(terms=terms)


def _read(by: Any) -> float | None:
    """A number; of a tensor only where it is one number in the processor's own memory."""
    if isinstance(by, (int, float)):
        return float(by)
    if isinstance(by, Tensor) and by.numel() == 1 and by.device.type == "cpu" and not by.requires_grad:
        value = None if _is_grad_scaler() else float(by)
        return value if value is not None and math.isfinite(value) else None
    return None


def _is_grad_scaler() -> bool:
    frame = sys._getframe(2)
    for _ in range(8):
        if frame.f_code.co_filename.endswith(_SCALER):
            return True
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


_SCALER = os.path.join("torch", "amp", "grad_scaler.py")


def added(first: Tag | None, second: Tag | None, sign: float) -> Tag | None:
    """A loss plus another, or plus something that is none (then it is not ``whole``)."""
    if first is not None and first.kind == "loss":
        if second is None or second.kind != "loss":
            return first.but(whole=False)
        return joined([first, scaled(second, sign)])
    if second is not None and second.kind == "loss":
        return scaled(second, sign).but(whole=False)
    return None


def joined(tags: list[Tag]) -> Tag | None:
    """The terms of all of them."""
    terms = tuple(term for tag in tags for term in tag.terms)
    if len(terms) > _MOST_TERMS:
        return None
    return tags[0].but(terms=terms, whole=all(tag.whole for tag in tags))


def averaged(tag: Tag, input: Tensor, result: Tensor) -> Tag:
    """The mean of a tensor of losses."""
    many = input.numel() // max(result.numel(), 1)
    if many == 1:
        return tag
    if len(tag.terms) == 1 and not tag.terms[0].mean and result.numel() == 1:
        term = tag.terms[0]
        if term.count in (None, float(input.numel())):
            mean = LossTerm(term.call, term.site, term.factor, True, float(input.numel()))
            return tag.but(terms=(mean,))
    return scaled(tag, 1 / many)


def summed(tag: Tag) -> Tag:
    """The sum of a tensor of losses: the same terms."""
    return tag
