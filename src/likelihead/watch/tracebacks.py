"""Takes the watch out of tracebacks, so that a script's are those that it has without the watch.

An exception that passes through the watch loses its frames on the way, so that what the script itself catches
and prints is clean too. Not the frames of torch that are only there because a mode is on: those that lead to
it are found when the function that the mode calls is seen again further in.
"""

from __future__ import annotations

import os
from types import CodeType, TracebackType

__all__ = ["STAND_INS", "dispatches", "hide", "hide_in_all", "is_ours"]

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_DISPATCH = os.path.join("torch", "overrides.py")
STAND_INS: set[CodeType] = set()  # what was put into functions of torch, and looks like theirs


def is_ours(code: CodeType) -> bool:
    """Whether this is code of the watch."""
    return code.co_filename.startswith(_HERE) or code in STAND_INS


def hide(error: BaseException) -> None:
    """Take the watch out of an exception's traceback, where it has come to.

    For the handler that raises it again: its own frame goes as well (under Python 3.10 it stays).
    """
    trace = error.__traceback__
    if trace is not None:
        error.__traceback__ = rest = _without_us(trace)
        if is_ours(trace.tb_frame.f_code):
            trace.tb_next = rest


def hide_in_all(error: BaseException) -> None:
    """The same in all the exceptions that are told with this one."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if one.__traceback__ is not None:
            one.__traceback__ = _without_us(one.__traceback__)
        waiting += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]


def _without_us(trace: TracebackType) -> TracebackType | None:
    kept: list[TracebackType] = []
    step: TracebackType | None = trace
    while step is not None:
        code = step.tb_frame.f_code
        if not is_ours(code):
            if kept and dispatches(kept[-1].tb_frame.f_code):
                _cut_to(kept, code)
            kept.append(step)
        step = step.tb_next
    rest: TracebackType | None = None
    for step in reversed(kept):
        if step.tb_next is not rest:
            step.tb_next = rest
        rest = step
    return rest


def dispatches(code: CodeType) -> bool:
    """Whether this is the function of torch by which its others lead to a mode."""
    return code.co_name == "handle_torch_function" and code.co_filename.endswith(_DISPATCH)


def _cut_to(kept: list[TracebackType], code: CodeType) -> None:
    """Forget the way from this function to the mode, which has called it again."""
    for at in range(len(kept) - 2, max(len(kept) - 5, -1), -1):
        if kept[at].tb_frame.f_code is code:
            del kept[at:]
            return
