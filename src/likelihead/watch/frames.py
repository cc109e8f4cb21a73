"""The numbers in the variables of the user: locals of running frames, and what they hold one level deep.

They are read and never run: no attribute of a script's object is asked for in a way that a class may answer.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

import torch
from torch import Tensor

from likelihead.watch.places import callers

__all__ = ["Variable", "variables"]

_MOST_NAMES = 400  # of a namespace
_SEVERAL = 64  # entries of a dict, attributes of an object
# Whoever holds the dict that these give, before Python 3.13, would see it change as the frame is read.
_READERS = frozenset({"locals", "_getframe", "currentframe"})

_NOWHERE = compile("", "<program>", "exec")


@dataclass(frozen=True)
class Variable:
    """A number, or a list that ends in one.

    Attributes:
        name: as the user would write it: ``total``, ``meter.sum``, ``history[-1]``.
        code: of the frame that it is a variable of.
        value: the number; of a list its last.
        numbers: the list.
    """

    name: str
    code: CodeType
    value: float
    numbers: list[Any] | None = None


def variables(depth: int = 1) -> list[Variable]:
    """Floats, zeros, single numbers in tensors of the processor's memory, and lists of floats."""
    found: list[Variable] = []
    frames = callers(depth + 1, 4)
    for frame in frames:
        found += _of_frame(frame)
    main = None if frames else sys.modules.get("__main__")
    if main is not None:  # the program is at its end
        found += _of_names(vars(main), _NOWHERE)
    return found


def _of_frame(frame: FrameType) -> list[Variable]:
    code = frame.f_code
    is_copy = sys.version_info < (3, 13) and bool(code.co_flags & inspect.CO_OPTIMIZED)
    if is_copy and (sys.gettrace() is not None or not _READERS.isdisjoint(code.co_names)):
        return []
    names: Any = frame.f_locals
    found = _of_names(names, code)
    # Before Python 3.13 a function's f_locals is a copy, which the frame would keep, and with it every tensor
    # that was in a variable. What a debugger holds is left alone.
    if is_copy and sys.getrefcount(names) <= 3:
        names.clear()
    return found


def _of_names(names: Mapping[str, Any], code: CodeType) -> list[Variable]:
    if len(names) > _MOST_NAMES:
        return []
    return [one for name, value in list(names.items()) for one in _of(name, value, code)]


def _of(name: str, value: Any, code: CodeType) -> Iterator[Variable]:
    inside: Mapping[Any, Any] | None = value if type(value) is dict else _attributes(value)
    if inside is None:
        yield from _number(name, value, code)
    elif len(inside) <= _SEVERAL:
        dotted = "{}[{!r}]" if type(value) is dict else "{}.{}"
        for key, entry in list(inside.items()):
            if type(key) is str:
                yield from _number(dotted.format(name, key), entry, code)


def _number(name: str, value: Any, code: CodeType) -> Iterator[Variable]:
    number = _float(value)
    if number is not None:
        yield Variable(name, code, number)
    elif type(value) is list and value:
        last = _float(value[-1])
        if last is not None:
            yield Variable(f"{name}[-1]", code, last, value)


def _float(value: Any) -> float | None:
    kind = type(value)
    if kind is int:
        return 0.0 if value == 0 else None
    if float in kind.__mro__:  # numpy's is one
        return float.__add__(value, 0.0)
    if kind is Tensor and value.dim() == 0 and value.device.type == "cpu" and not value.requires_grad:
        return float(value) if value.dtype in (torch.float32, torch.float64) else None
    return None


def _attributes(value: Any) -> dict[str, Any] | None:
    """Of an object of the user's own that may keep an average: no module, function, class or tensor."""
    kind = type(value)
    if kind.__module__.partition(".")[0] in ("torch", "builtins", "numpy"):
        return None
    if not {type, torch.nn.Module, Tensor}.isdisjoint(kind.__mro__) or "__call__" in vars(kind):
        return None
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return found if type(found) is dict else None
