"""How each of torch's functions makes, keeps or uses a kind: one handler for each, by the function.

A handler runs after the function, with its arguments and its result, outside every mode. It writes tags into
the book (`engine.book`) and says what a tagged tensor is used for (`engine.use`). Functions that are not in
the table leave their results unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from likelihead.watch.kinds.arithmetic import arithmetic
from likelihead.watch.kinds.rows import rows
from likelihead.watch.kinds.rules import Rules
from likelihead.watch.kinds.sources import sources
from likelihead.watch.kinds.uses import changes, uses
from likelihead.watch.kinds.views import views
from likelihead.watch.mode import Handler

if TYPE_CHECKING:
    from likelihead.watch.engine import Engine

__all__ = ["handlers"]


def handlers(engine: Engine) -> dict[Any, Handler]:
    """The table of a new engine."""
    rules = Rules(engine)
    for add in (sources, views, arithmetic, rows, uses, changes):
        add(rules)
    return rules.table
