"""A warning of torch about a line of the script is placed at that line, though the watch stands between them.

`warnings.warn` counts frames from where it is called; here those of the watch are not counted, nor those of
torch that lead to its mode. What torch's compiled code warns of is placed at the frame that runs, the mode's:
that place is put right when the warning is shown.
"""

from __future__ import annotations

import sys
import warnings
from functools import wraps
from types import FrameType
from typing import Any

import torch
from torch.jit import _builtins

from likelihead.watch import runner
from likelihead.watch.taps import Taps
from likelihead.watch.tracebacks import dispatches, hide, is_ours

__all__ = ["place", "warn"]

_WARN = warnings.warn
_INTERNAL = ("importlib", "_bootstrap")  # frames of files with both in the name are not counted by python
_PARAMETERS = ("message", "category", "stacklevel", "source")


def place(taps: Taps) -> None:
    """Put taps around what warns and what shows a warning."""
    if warnings.warn is _WARN:
        taps.put(warnings, "warn", warn)
    if "_showwarnmsg" in vars(warnings):
        taps.place(warnings, "_showwarnmsg", _show)


@wraps(_WARN)
def warn(*args: Any, **kwargs: Any) -> None:
    """`warnings.warn`, for which the watch is not there."""
    level = kwargs.get("stacklevel", args[2] if len(args) > 2 else 1)
    counts = isinstance(level, int) and len(args) <= len(_PARAMETERS) and not kwargs.get("skip_file_prefixes")
    if counts and not torch.compiler.is_compiling():
        given = dict(zip(_PARAMETERS, args, strict=False)) | kwargs
        args, kwargs = (), given | {"stacklevel": _level(sys._getframe(), max(level, 1))}
    try:
        _WARN(*args, **kwargs)
    except BaseException as error:  # a filter has made an exception of it
        hide(error)
        raise


# torch.jit.script knows by their identity the functions that it need not compile.
_builtins._register_builtin(warn, "aten::warn")


def _level(here: FrameType, wanted: int) -> int:
    """How many frames there are from here to the one that is the so many'th of those that count."""
    seen, count = _outer(here, without_us=False), 1
    goal: FrameType | None = _outer(here, without_us=True)
    for _ in range(wanted - 1):
        goal = None if goal is None else _outer(goal, without_us=True)
    while seen is not None and seen is not goal:
        seen, count = _outer(seen, without_us=False), count + 1
    return count + 1


def _outer(frame: FrameType, *, without_us: bool) -> FrameType | None:
    """The next frame out that counts."""
    inside, outer = frame, frame.f_back
    while outer is not None:
        code = outer.f_code
        if without_us and code.co_filename == runner.__file__:
            return None  # beyond it is the command, of which the script knows nothing
        if without_us and is_ours(code):
            pass
        elif without_us and dispatches(code) and is_ours(inside.f_code):
            entry = outer.f_back
            if entry is not None:
                outer = entry  # the function that has asked for a mode, and is called again by it
        elif not all(part in code.co_filename for part in _INTERNAL):
            return outer
        inside, outer = outer, outer.f_back
    return None


def _show(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    message: Any = args[0] if args else kwargs.get("msg")
    frame: FrameType | None = sys._getframe()
    while frame is not None and not _is_place(frame, message):
        frame = frame.f_back
    if frame is not None and is_ours(frame.f_code):
        outer = _outer(frame, without_us=True)
        if outer is not None:
            message.filename, message.lineno = outer.f_code.co_filename, outer.f_lineno
    return original(*args, **kwargs)


def _is_place(frame: FrameType, message: Any) -> bool:
    return (frame.f_code.co_filename, frame.f_lineno) == (message.filename, message.lineno)
