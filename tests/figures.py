"""Figures of any form, compared number by number."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from torch import Tensor


def flat(value: Any) -> list[float]:
    """A figure, whatever its form, as a list of numbers."""
    if isinstance(value, dict):
        return [x for name in sorted(value) for x in flat(value[name])]
    if dataclasses.is_dataclass(value):
        return flat(dataclasses.asdict(value))  # type: ignore[arg-type]
    if isinstance(value, Tensor):
        return [float(x) for x in value.flatten()]
    return [x for v in value for x in flat(v)] if isinstance(value, (list, tuple)) else [float(value)]


def agree(first: Any, second: Any, rel: float = 1e-9) -> bool:
    """Whether two figures are the same but for rounding."""
    return flat(first) == pytest.approx(flat(second), rel=rel, abs=1e-3 * rel, nan_ok=True)
