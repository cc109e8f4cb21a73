"""For a command whose work is the interpreter's: it is done when click has been left, and its end is real."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Handover"]


class Handover(BaseException):
    """Raised by a command that has checked everything, past whatever catches exceptions on the way out.

    Attributes:
        rest: what is left to do; the process ends after it as the interpreter ends it.
    """

    def __init__(self, rest: Callable[[], object]) -> None:
        super().__init__()
        self.rest = rest
