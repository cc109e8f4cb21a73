"""Which reader a name belongs to."""

from __future__ import annotations

from likelihead.errors import DataError
from likelihead.train.data.bundled import BUNDLED, bundled
from likelihead.train.data.source import Source

__all__ = ["open_source"]


def open_source(name: str) -> Source:
    """The bundled set or the file of this name."""
    if name in BUNDLED:
        return bundled(name)
    raise DataError("unknown")
