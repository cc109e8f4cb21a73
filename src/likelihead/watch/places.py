"""Which line of the user's code runs: frames of torch, likelihead and the standard library are skipped."""

from __future__ import annotations

import linecache
import os
import sys
import sysconfig
from functools import cache, lru_cache
from types import CodeType, FrameType

from likelihead.watch.record import Place

__all__ = ["Spot", "by_user", "caller", "callers", "entered_by_user", "place"]

Spot = tuple[str, int]  # file and line: what is kept until a report needs the text

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STDLIB = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})
_INSTALLED = tuple({sysconfig.get_path(name) + os.sep for name in ("purelib", "platlib")})
# Of likelihead only what is called on the way to a loss; its training loop and examples are somebody's code.
_OURS = (
    *(
        _HERE + name + os.sep
        for name in (
            *("watch", "cli", "integrations", "evaluate"),
            *("functional", "likelihoods", "nn", "guard", "kernels", "core"),
        )
    ),
    _HERE + "__main__.py",
)


def _kind(code: CodeType) -> int:
    # Not kept by code: codes of two files are equal where their text is.
    return _classify(code.co_filename)


@lru_cache(maxsize=4096)
def _classify(file: str) -> int:
    """0: the user's, 1: an installed library's, 2: never shown."""
    if file.startswith("<frozen ") or file.startswith(_OURS):
        return 2
    if f"{os.sep}torch{os.sep}" in file and file.startswith(_torch_folder()):
        return 2
    if file.startswith(_INSTALLED) or f"{os.sep}site-packages{os.sep}" in file:
        return 1
    return 2 if file.startswith(_STDLIB) else 0


@cache
def _torch_folder() -> str:
    """Asked for when the first frames are looked at: this module may be imported before torch is."""
    file = getattr(sys.modules.get("torch"), "__file__", None)
    return os.path.dirname(os.path.abspath(file)) + os.sep if file else "\0"


_DECORATED = os.path.join("torch", "utils", "_contextlib.py")


def caller(depth: int = 1) -> Spot:
    """The innermost line of the user's code; of an installed library where no user's line is on the stack."""
    frame: FrameType | None = sys._getframe(depth)
    library: Spot | None = None
    while frame is not None:
        kind = _kind(frame.f_code)
        if kind == 0:
            return frame.f_code.co_filename, frame.f_lineno
        if kind == 1 and library is None:
            library = frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return library or ("<unknown>", 0)


def by_user(depth: int = 1) -> bool:
    """Whether the user's own code makes this call of torch, and no installed library does it for them."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None:
        kind = _kind(frame.f_code)
        if kind != 2:
            return kind == 0
        frame = frame.f_back
    return False


def entered_by_user(depth: int = 1) -> bool:
    """Whether the user's code enters this block, or a function that it has decorated with it."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None:
        file = frame.f_code.co_filename
        between = file.startswith(_HERE + "watch" + os.sep) or file.endswith(_DECORATED)
        if _kind(frame.f_code) != 2 or not between:
            return _kind(frame.f_code) == 0
        frame = frame.f_back
    return False


def callers(depth: int = 1, limit: int = 6) -> list[FrameType]:
    """The innermost frames of the user's code, the nearest first."""
    frame: FrameType | None = sys._getframe(depth)
    found: list[FrameType] = []
    while frame is not None and len(found) < limit:
        if _kind(frame.f_code) == 0:
            found.append(frame)
        frame = frame.f_back
    return found


def place(spot: Spot | None) -> Place | None:
    """The line with its text."""
    if spot is None:
        return None
    file, line = spot
    return Place(file, line, linecache.getline(file, line).strip() if line else "")
