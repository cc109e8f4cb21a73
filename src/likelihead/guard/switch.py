"""How much the guard checks, and what it does with what it finds.

Three levels: ``off``; ``cheap`` (the default: shapes, dtypes and the autograd graph, no synchronisation and
no pass over the data); ``full`` (the values as well: some passes over the data, and a wait for the device).

Two actions: ``warn`` and ``raise``; None leaves it to the caller: the drop-in functions warn, ``Likelihood``
objects raise. Findings of severity I (redundant) are reported at *full* only and never raise; those of
severity W (fragile) raise only where ``action="raise"`` was asked for.
docs/decisions/0002-guard-severities.md says why.

The environment variable ``LIKELIHEAD_GUARD`` sets the start: ``off``, ``cheap``, ``full``, or with an action,
``full,raise``.
"""

from __future__ import annotations

import os
import sys
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Lock
from types import EllipsisType, TracebackType
from typing import Literal, get_args

from likelihead.errors import OptionError

__all__ = [
    "Action",
    "Level",
    "Settings",
    "current",
    "first_report",
    "forget_report",
    "guard",
    "level_in_force",
    "reset_reported",
    "set_guard",
]

Level = Literal["off", "cheap", "full"]
Action = Literal["warn", "raise"]
CallSite = tuple[str, str, int]  # hazard code, file, line

_LEVELS: tuple[str, ...] = get_args(Level)
_ACTIONS: tuple[str, ...] = get_args(Action)


@dataclass(frozen=True)
class Settings:
    """A level and an action; action None is the caller's default."""

    level: Level = "cheap"
    action: Action | None = None

    def __post_init__(self) -> None:
        if self.level not in _LEVELS:
            raise OptionError(f"guard level is {self.level!r}; it must be one of {', '.join(_LEVELS)}")
        if self.action is not None and self.action not in _ACTIONS:
            raise OptionError(
                f"guard action is {self.action!r}; it must be one of {', '.join(_ACTIONS)}, or None"
            )


@dataclass(frozen=True)
class _Scope:
    """Settings in force, what was reported under them, and the scope to go back to."""

    settings: Settings
    parent: _Scope | None = None
    reported: set[CallSite] = field(default_factory=set)


def _from_environment(text: str) -> Settings:
    level, _, action = (part.strip().lower() for part in text.partition(","))
    try:
        return Settings(level or "cheap", action or None)  # type: ignore[arg-type]  # Settings checks them
    except OptionError as error:
        raise OptionError(f"environment variable LIKELIHEAD_GUARD={text!r}: {error}") from error


_lock = Lock()
_AT_START = os.environ.get("LIKELIHEAD_GUARD", "")
# None until somebody asks: a misspelt LIKELIHEAD_GUARD is an error of the call that asks, not of the import,
# of which the command line could make no line.
_everywhere: _Scope | None = None
# A context variable, so that a block holds for its own thread and its own asyncio task. A new thread starts
# with an empty context and sees the global setting.
_block: ContextVar[_Scope | None] = ContextVar("likelihead_guard", default=None)


def _start() -> _Scope:
    global _everywhere
    with _lock:
        if _everywhere is None:
            _everywhere = _Scope(_from_environment(_AT_START))
        return _everywhere


def _scope() -> _Scope:
    return _block.get() or _everywhere or _start()


def current() -> Settings:
    """The settings in force here.

    >>> with guard("full", action="raise"):
    ...     current()
    Settings(level='full', action='raise')
    """
    return _scope().settings


def level_in_force() -> Level:
    """`current().level` in one step: every loss call asks."""
    return (_block.get() or _everywhere or _start()).settings.level


def set_guard(level: Level | EllipsisType = ..., action: Action | EllipsisType | None = ...) -> None:
    """Set the guard for the whole process; what is left out stays as it is.

    A ``with guard(...)`` block, while it lasts, comes before the global setting. Call sites reported so far
    may be reported again.

    Args:
        level: ``"off"``, ``"cheap"`` or ``"full"``.
        action: ``"warn"``, ``"raise"``, or None for the caller's default.

    Raises:
        OptionError: an unknown level or action.
    """
    global _everywhere
    start = _everywhere or _start()
    with _lock:
        _everywhere = _Scope(_changed((_everywhere or start).settings, level, action))


def _changed(
    settings: Settings, level: Level | EllipsisType, action: Action | EllipsisType | None
) -> Settings:
    return Settings(
        settings.level if isinstance(level, EllipsisType) else level,
        settings.action if isinstance(action, EllipsisType) else action,
    )


def _compiling() -> bool:
    """Whether torch.compile traces this: it checks nothing there, and knows no context variables."""
    torch = sys.modules.get("torch")  # not imported here: the switch stays light
    return torch is not None and bool(torch.compiler.is_compiling())


class guard:  # a context manager, named as torch.no_grad is
    """Set the guard for the length of a ``with`` block, in this thread or asyncio task.

    What is left out stays as it is outside the block. Each block starts with an empty record of the call
    sites reported. An instance may be entered again, also by several threads at once.

    Args:
        level: ``"off"``, ``"cheap"`` or ``"full"``.
        action: ``"warn"``, ``"raise"``, or None for the caller's default.

    Raises:
        OptionError: an unknown level or action.

    >>> with guard("off"):
    ...     current().level
    'off'
    """

    def __init__(self, level: Level | EllipsisType = ..., action: Action | EllipsisType | None = ...) -> None:
        _changed(Settings(), level, action)  # a mistake is better told here than on entry
        self._level = level
        self._action = action

    def __enter__(self) -> guard:
        if _compiling():
            return self
        outer = _scope()
        _block.set(_Scope(_changed(outer.settings, self._level, self._action), _block.get()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if _compiling():
            return
        # The way back lies in the scope, not in the instance: nothing here is shared between threads.
        scope = _block.get()
        _block.set(None if scope is None else scope.parent)

    def __repr__(self) -> str:
        return f"guard(level={self._level!r}, action={self._action!r})"


def first_report(site: CallSite) -> bool:
    """Whether this hazard is met for the first time at this place; from now on it is not."""
    reported = _scope().reported
    with _lock:
        if site in reported:
            return False
        reported.add(site)
        return True


def forget_report(site: CallSite) -> None:
    """Take a call site off the record, where its warning became an exception."""
    with _lock:
        _scope().reported.discard(site)


def reset_reported() -> None:
    """Forget which call sites were reported here, so that each may be reported again."""
    with _lock:
        _scope().reported.clear()
