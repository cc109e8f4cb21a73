"""Domains: what a target or a parameter may be, as data.

A likelihood names the domain of its targets as a class attribute, in the way that
``torch.distributions`` names a ``support``; the checks, their messages and the tests read it there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "COUNT",
    "POSITIVE",
    "REAL",
    "UNIT_INTERVAL",
    "ClassIndex",
    "Domain",
    "Interval",
    "Violation",
    "WholeNumbers",
]


@dataclass(frozen=True)
class Violation:
    """The first value outside a domain.

    Attributes:
        position: its index in the tensor, one number for each dimension.
        value: the value.
        number: how many values are outside.
    """

    position: tuple[int, ...]
    value: float | int
    number: int

    def __str__(self) -> str:
        where = ", ".join(str(index) for index in self.position)
        more = "" if self.number == 1 else f", the first of {self.number} such values"
        return f"{self.value} at position [{where}]{more}"


@dataclass(frozen=True)
class Domain(ABC):
    """A set of values.

    Attributes:
        words: the set in words, as it stands after "expected".
    """

    words: str

    @abstractmethod
    def contains(self, values: Tensor) -> Tensor:
        """Where the values lie inside, as a boolean tensor of their shape."""

    def first_violation(self, values: Tensor, mask: Tensor | None = None) -> Violation | None:
        """The first value outside, or None. Reads the values, so it waits for a GPU.

        Args:
            values: any shape.
            mask: where False, the value does not matter.

        >>> UNIT_INTERVAL.first_violation(torch.tensor([0.0, 1.5, 2.0]))
        Violation(position=(1,), value=1.5, number=2)
        """
        outside = ~self.contains(values)
        if mask is not None:
            outside = outside & mask
        number = int(outside.sum())
        if number == 0:
            return None
        position = tuple(int(index) for index in outside.nonzero()[0])
        return Violation(position, values[position].item(), number)


@dataclass(frozen=True)
class Interval(Domain):
    """The reals between two bounds; NaN and infinity lie outside.

    >>> REAL.contains(torch.tensor([0.0, float("nan"), float("inf")]))
    tensor([ True, False, False])
    """

    low: float = -float("inf")
    high: float = float("inf")
    open: bool = False

    def contains(self, values: Tensor) -> Tensor:
        if self.open:
            inside = (values > self.low) & (values < self.high)
        else:
            inside = (values >= self.low) & (values <= self.high)
        return inside & torch.isfinite(values)


@dataclass(frozen=True)
class ClassIndex(Domain):
    """The whole numbers from 0 up to a number of classes, and one value that means "leave out".

    Attributes:
        num_classes: the number of classes, or None where it is not known yet.
        ignore_index: the value of a target that is left out, or None.

    >>> ClassIndex.of(3, ignore_index=-100).contains(torch.tensor([0, 2, 3, -100]))
    tensor([ True,  True, False,  True])
    """

    words: str = "class indices from 0 up"
    num_classes: int | None = None
    ignore_index: int | None = None

    @classmethod
    def of(cls, num_classes: int, ignore_index: int | None = None) -> ClassIndex:
        """The indices of ``num_classes`` classes."""
        words = f"class indices in [0, {num_classes})"
        if ignore_index is not None:
            words += f", or ignore_index={ignore_index}"
        return cls(words, num_classes, ignore_index)

    def contains(self, values: Tensor) -> Tensor:
        # An unsigned dtype cannot be compared with a negative ignore_index.
        indices = values.long()
        inside = indices >= 0
        if self.num_classes is not None:
            inside = inside & (indices < self.num_classes)
        if self.ignore_index is not None:
            inside = inside | (indices == self.ignore_index)
        return inside


@dataclass(frozen=True)
class WholeNumbers(Domain):
    """The whole numbers from 0 up, in whatever dtype.

    >>> COUNT.contains(torch.tensor([0.0, 3.0, 1.5, -1.0, float("inf")]))
    tensor([ True,  True, False, False, False])
    """

    def contains(self, values: Tensor) -> Tensor:
        inside = values >= 0
        return (
            inside & torch.isfinite(values) & (values == values.round())
            if values.is_floating_point()
            else inside
        )


COUNT = WholeNumbers("whole numbers from 0 up")
REAL = Interval("finite real numbers")
POSITIVE = Interval("positive finite numbers", low=0.0, open=True)
UNIT_INTERVAL = Interval("0 or 1, or a probability in between", low=0.0, high=1.0)
