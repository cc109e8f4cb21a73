"""Functions of torch that lead to the watch while a script is watched, and are put back after.

Two ways, since torch.compile knows two kinds of functions. Most of torch's losses it takes into its graph as
they are, and what is compiled holds on to their identity, as tables of ``__torch_function__`` and earlier
imports do: of these the code is swapped, and the function stays what it is. What it traces into gets a
wrapper that it sees through.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from functools import wraps
from types import CodeType, FunctionType
from typing import Any

import torch

from likelihead.watch.mode import is_theirs
from likelihead.watch.tracebacks import STAND_INS, hide

__all__ = ["Taps"]

Around = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]

# Stand in the new code for the functions that are to be called.
_HOOK = "likelihead.watch: what is called"
_HIDE = "likelihead.watch: what is called with an exception"
_TRACED = ("triplet_margin_with_distance_loss", "linear_cross_entropy")  # torch.compile traces into these


class Taps:
    """What was replaced, to be put back."""

    def __init__(self) -> None:
        self._placed: list[tuple[Any, str, Any, Any]] = []
        self._swapped: list[tuple[FunctionType, CodeType, CodeType]] = []
        self._inside = 0
        self._lock = threading.Lock()

    def place(self, owner: Any, name: str, around: Around) -> None:
        """Let ``around(original, args, kwargs)`` stand for ``owner.name``, where there is such a thing."""
        original = vars(owner).get(name)
        if original is None:
            return

        @wraps(original)
        def tap(*args: Any, **kwargs: Any) -> Any:
            if torch.compiler.is_compiling():
                return original(*args, **kwargs)
            try:
                return around(original, args, kwargs)
            except BaseException as error:
                hide(error)
                raise

        tap.__prepare_scriptable__ = lambda: original  # type: ignore[attr-defined]  # for torch.jit.script
        self.put(owner, name, tap)

    def put(self, owner: Any, name: str, function: Callable[..., Any]) -> None:
        """Let this function stand for ``owner.name``."""
        self._placed.append((owner, name, function, vars(owner)[name]))
        setattr(owner, name, function)

    def swap(self, owner: Any, name: str, around: Around) -> None:
        """The same with another code in the same function, whoever holds it."""
        function = vars(owner).get(name)
        plain = type(function) is FunctionType and not function.__code__.co_freevars
        if not plain or is_theirs(function) or name in _TRACED:
            self.place(owner, name, around)  # the script's own, or traced into
            return
        before = function.__code__
        original = FunctionType(before, function.__globals__, name, function.__defaults__)
        original.__kwdefaults__ = function.__kwdefaults__

        defaults = function.__defaults__ or ()
        first = before.co_argcount - len(defaults)
        optional = before.co_varnames[first : before.co_argcount]
        by_name = function.__kwdefaults__ or {}

        def hook(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            options = zip(optional, args[first:], defaults, strict=True)
            given = {name: value for name, value, default in options if value is not default}
            for name, value in kwargs.items():
                if name not in by_name or value is not by_name[name]:
                    given[name] = value
            return around(original, args[:first], given)

        code = _calling(function, hook)
        function.__code__ = code
        self._swapped.append((function, before, code))

    def rest(self, inside: bool) -> None:
        """Inside a compiled region, which is guarded by the code of functions, they have their own."""
        with self._lock:
            self._inside += 1 if inside else -1
            if self._inside == int(inside):
                for function, before, code in self._swapped:
                    was, now = (code, before) if inside else (before, code)
                    if function.__code__ is was:
                        function.__code__ = now

    def remove(self) -> None:
        """Put all back, except what somebody else has replaced since: their wrapper goes on calling ours."""
        for owner, name, tap, original in reversed(self._placed):
            if vars(owner).get(name) is tap:
                setattr(owner, name, original)
        for function, before, code in self._swapped:
            if function.__code__ is code:
                function.__code__ = before
        self._placed.clear()
        self._swapped.clear()
        self._inside = 0


def _calling(function: FunctionType, hook: Callable[..., Any]) -> CodeType:
    """Code with the parameters, name and place of this function, which calls ``hook(args, kwargs)``."""
    parameters = inspect.signature(function).parameters.values()
    shown: list[str] = []
    args: list[str] = []
    kwargs: list[str] = []
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY:
            if not kwargs:
                shown.append("*")
            kwargs.append(f"{parameter.name!r}: {parameter.name}")
        elif parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            args.append(f"{parameter.name},")
        else:
            raise ValueError(f"{function.__name__}() takes {parameter}: it cannot be watched.")
        shown.append(parameter.name)
    source = (
        f"def {function.__name__}({', '.join(shown)}):\n"
        f"    hook_ = {_HOOK!r}\n"
        f"    hide_ = {_HIDE!r}\n"
        "    try:\n"
        f"        return hook_(({' '.join(args)}), {{{', '.join(kwargs)}}})\n"
        "    except BaseException as error_:\n"
        "        hide_(error_)\n"
        "        raise\n"
    )
    module = compile(source, function.__code__.co_filename, "exec")
    made = next(constant for constant in module.co_consts if isinstance(constant, CodeType))
    real: dict[Any, Callable[..., Any]] = {_HOOK: hook, _HIDE: hide}
    constants = tuple(real.get(constant, constant) for constant in made.co_consts)
    made = made.replace(co_consts=constants, co_firstlineno=function.__code__.co_firstlineno)
    STAND_INS.add(made)
    return made
