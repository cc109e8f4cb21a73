"""Losses that are not torch's: those of likelihead itself, and of Keras on torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from likelihead.watch.taps import Taps

if TYPE_CHECKING:
    from likelihead.watch.engine import Engine

__all__ = ["place", "remove"]


def place(engine: Engine, taps: Taps) -> None:
    """Put taps around all that is there."""
    from likelihead.watch.libraries import keras, own  # they know checks, which know sessions and the engine

    own.place(engine, taps)
    keras.place(engine, taps)


def remove() -> None:
    """Take back what the taps do not."""
    from likelihead.watch.libraries import keras

    keras.remove()
