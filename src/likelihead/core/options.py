"""What kind of thing an option is, checked before anything is computed with it."""

from __future__ import annotations

from numbers import Integral, Real

import torch
from torch import Tensor

from likelihead.errors import DTypeError

__all__ = [
    "as_index",
    "as_number",
    "check_flag",
    "check_real_number",
    "check_tensor_option",
    "real_number",
    "shown",
    "whole_number",
]

_SYMBOLIC = (torch.SymInt, torch.SymFloat)
_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def shown(value: object) -> str:
    """A value as an error message shows it, in one line.

    >>> shown([1.0, 2.0])
    '[1.0, 2.0], a list'
    >>> shown(torch.ones(2, 3))
    'a Tensor of shape [2, 3] and torch.float32'
    """
    if isinstance(value, Tensor):
        return f"a Tensor of shape {list(value.shape)} and {value.dtype}"
    kind = type(value).__name__
    text = " ".join(repr(value).split())
    return f"{text}, {_article(kind)}" if len(text) <= 40 and " at 0x" not in text else _article(kind)


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def as_index(value: object) -> int | None:
    """A whole number as torch's functions take it, or None: numpy's, and a 0-d tensor of integers, too."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, torch.SymInt)):
        return value  # type: ignore[return-value]  # a symbolic one stays symbolic
    if isinstance(value, Tensor):
        return int(value) if value.dim() == 0 and value.dtype in _INTEGERS else None
    return int(value) if isinstance(value, Integral) else None


def as_number(value: object) -> float | None:
    """A real number as torch's functions take it, or None; numpy's, and a 0-d tensor's without gradient."""
    if isinstance(value, (float, int, *_SYMBOLIC)):
        return value  # type: ignore[return-value]
    if isinstance(value, Tensor):
        plain = value.dim() == 0 and not value.requires_grad and not value.is_complex()
        return float(value) if plain else None
    return float(value) if isinstance(value, Real) else None


def whole_number(name: str, value: object) -> int:
    """A whole number, as an int.

    Raises:
        DTypeError: it is none.
    """
    number = as_index(value)
    if number is None:
        raise DTypeError(f"{name} is {shown(value)}; expected a whole number.")
    return number


def real_number(name: str, value: object) -> float:
    """A real number, as a float or int; a 0-d tensor's is read.

    Raises:
        DTypeError: it is none.
    """
    number = None if isinstance(value, bool) else as_number(value)
    if number is None:
        raise DTypeError(f"{name} is {shown(value)}; expected a number.")
    return number


def check_real_number(name: str, value: object, *, expected: str = "a number") -> None:
    """Refuse what is no real number: a tensor, text, a list, a truth value.

    Raises:
        DTypeError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (float, int, Real, *_SYMBOLIC)):
        hint = f" Use {name}.item()." if isinstance(value, Tensor) and value.numel() == 1 else ""
        raise DTypeError(f"{name} is {shown(value)}; expected {expected}.{hint}")


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False.

    Raises:
        DTypeError: it is neither.
    """
    if not isinstance(value, bool):
        raise DTypeError(f"{name} is {shown(value)}; expected True or False.")


def check_tensor_option(name: str, value: object) -> None:
    """Refuse what is neither None nor a tensor of real numbers.

    Raises:
        DTypeError: it is neither.
    """
    if value is None:
        return
    if not isinstance(value, Tensor):
        raise DTypeError(f"{name} is {shown(value)}; expected a torch.Tensor. Use torch.as_tensor({name}).")
    if value.is_complex() or value.dtype is torch.bool:
        raise DTypeError(f"{name} is {value.dtype}; expected real numbers.")
