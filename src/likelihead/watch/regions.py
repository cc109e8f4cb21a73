"""Compiled regions, which are left alone: torch.compile meets neither the mode nor a line of the watch.

A region that was compiled under a mode is compiled anew without it, and the other way round. So the mode is
taken off where a region begins, wherever and whenever it was compiled, and put back where it ends.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from likelihead.watch.arrival import when_imported
from likelihead.watch.taps import Taps

if TYPE_CHECKING:
    from likelihead.watch.engine import Engine

__all__ = ["Regions"]

# Called by what torch.compile returns: with a callback where frames are compiled from here on, and once more
# at its end. No public function of torch tells of that.
_SWITCH = "_maybe_set_eval_frame"


class Regions:
    """Tells an engine where a compiled region begins and ends."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._give_up: Callable[[], None] = lambda: None

    def place(self, taps: Taps) -> None:
        """Do so from when torch's compiler is imported."""
        self._give_up = when_imported("torch._dynamo", lambda: self._arrived(taps))

    def remove(self) -> None:
        """Wait for it no longer."""
        self._give_up()

    def _arrived(self, taps: Taps) -> None:
        home = sys.modules["torch._dynamo.eval_frame"]
        if not hasattr(home, _SWITCH):
            return
        rules = sys.modules["torch._dynamo.trace_rules"]
        if not rules.check_file(__file__).skipped:
            rules.add(__package__)  # what is called from a region between its graphs is not compiled
        taps.place(home, _SWITCH, self._switched)

    def _switched(self, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            self._engine.region(sys._getframe(2), args[0] is not None)
        except Exception as error:
            self._engine.fault(error)
        return original(*args, **kwargs)
