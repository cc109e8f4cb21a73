"""Training from Python: what the commands do, without arguments to parse.

    >>> from likelihead.train import TrainConfig, train  # doctest: +SKIP
    >>> outcome = train(TrainConfig(data="iris", hidden=(7,), activation="tanh"))  # doctest: +SKIP
    >>> outcome.score > 0.93  # doctest: +SKIP
    True

It needs the extra ``train``: ``pip install 'likelihead[train]'``. The names are loaded when they are first
used, so that ``likelihead train --help`` needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likelihead.train.config import TrainConfig
    from likelihead.train.loop import Interrupted, Observer
    from likelihead.train.outcome import Outcome
    from likelihead.train.start import resume, train

__all__ = ["Interrupted", "Observer", "Outcome", "TrainConfig", "resume", "train"]

_PLACES = {
    "Interrupted": "loop",
    "Observer": "loop",
    "Outcome": "outcome",
    "TrainConfig": "config",
    "resume": "start",
    "train": "start",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
