"""The checks, one idea each; `CHECKS` is the list of those that a session makes."""

from __future__ import annotations

from likelihead.watch.checks.accumulation import Accumulation
from likelihead.watch.checks.averages import Averages
from likelihead.watch.checks.base import Check
from likelihead.watch.checks.baseline import Baselines
from likelihead.watch.checks.curves import Curves
from likelihead.watch.checks.ignored import Ignored
from likelihead.watch.checks.link import Link
from likelihead.watch.checks.padding import Padding
from likelihead.watch.checks.prediction import Prediction
from likelihead.watch.checks.shapes import Sizes
from likelihead.watch.checks.shapes_seen import Shapes
from likelihead.watch.checks.values import Values
from likelihead.watch.libraries.keras import KerasProbabilities

__all__ = ["CHECKS", "Check"]

CHECKS: tuple[type[Check], ...] = (
    Curves,
    Link,
    Prediction,
    KerasProbabilities,
    Shapes,
    Sizes,
    Values,
    Baselines,
    Padding,
    Ignored,
    Accumulation,
    Averages,
)
