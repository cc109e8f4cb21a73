"""Training from Python: what the commands do, without arguments to parse.

    >>> from likelihead.train import TrainConfig, train  # doctest: +SKIP
    >>> outcome = train(TrainConfig(data="iris", hidden=(7,), activation="tanh"))  # doctest: +SKIP
    >>> outcome.score > 0.93  # doctest: +SKIP
    True

It needs the extra ``train``: ``pip install 'likelihead[train]'``.
"""

from __future__ import annotations

from likelihead.train.config import TrainConfig
from likelihead.train.loop import Interrupted, Observer
from likelihead.train.outcome import Outcome
from likelihead.train.start import resume, train

__all__ = ["Interrupted", "Observer", "Outcome", "TrainConfig", "resume", "train"]
