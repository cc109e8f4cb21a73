"""Figures of data that stream by: sums that add up, and one division at the end.

Every accumulator is a few tensors that add up, so that the answer is the same whatever the batches are and
whichever process saw them. What cannot be had from sums (a ranking needs every score) is kept row by row, and
says so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from likelihead.errors import OptionError

__all__ = ["Accumulator", "merge_across_processes"]

_A = TypeVar("_A", bound="Accumulator")

_WIDE = torch.float64
_WEIGHT = "weight"
"""The weights of rows, among the rows."""
_WEIGHTED = "weighted_"
"""Before the name of a count: the sum of weights that belongs to it, among the totals."""


class Accumulator(ABC):
    """A figure, or several, that are updated batch by batch.

    ``a.update(...)`` takes in a batch, ``a + b`` and ``a.merge(b)`` join what two have seen, ``a.compute()``
    gives the figure. `state` is a dictionary of numbers and tensors, for ``torch.save``, whose ``totals`` and
    ``counts`` add up and whose ``rows`` are joined end to end; `from_state` goes back.

    Subclasses name what they keep: ``totals`` (float64, each with what was lost in rounding beside it, so
    that even 10^7 small batches add up to the last digits), ``counts`` (int64, exact) and ``rows``.

    What was counted with a ``sample_weight`` is a sum of weights: it stands among the totals, under the
    count's name after ``weighted_``, and the weights of rows among the rows, as ``weight``. Both are there
    once a weight was given, and else not.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._totals: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}
        self._rows: dict[str, list[Tensor]] = {}

    @abstractmethod
    def compute(self) -> Any:
        """The figure; NaN where nothing was counted."""

    # -- what subclasses do -----------------------------------------------------------------------

    def _keep(
        self,
        *,
        totals: Mapping[str, tuple[int, ...]] | None = None,
        counts: Mapping[str, tuple[int, ...]] | None = None,
        rows: tuple[str, ...] = (),
    ) -> None:
        for name, shape in (totals or {}).items():
            self._totals[name] = torch.zeros(2, *shape, dtype=torch.float64)
        for name, shape in (counts or {}).items():
            self._counts[name] = torch.zeros(shape, dtype=torch.int64)
        for name in rows:
            self._rows[name] = []

    def _add(self, name: str, value: Tensor | float) -> None:
        """Add to a total."""
        # A Python number would become float32, which cannot hold a count above 2^24.
        number = value.detach().double() if isinstance(value, Tensor) else torch.tensor(value, dtype=_WIDE)
        self._totals[name] = _two_sum(self._totals[name], number.cpu())

    def _count(self, name: str, value: Tensor | float) -> None:
        """Add to a count: whole numbers exactly, a sum of weights (floating-point) in float64."""
        number = torch.as_tensor(value).detach().cpu()
        if not number.is_floating_point():
            self._counts[name] = self._counts[name] + number
            return
        weighted = _WEIGHTED + name
        if weighted not in self._totals:
            self._totals[weighted] = torch.zeros(2, *self._counts[name].shape, dtype=torch.float64)
        self._add(weighted, number)

    def _append(self, weight: Tensor | None = None, **columns: Tensor) -> None:
        """Keep rows: columns of the same length, and the weight of each row where there is one."""
        if weight is not None and _WEIGHT not in self._rows:
            self._rows[_WEIGHT] = self._ones()
        if _WEIGHT in self._rows:
            like = next(iter(columns.values()))
            columns[_WEIGHT] = torch.ones(like.shape) if weight is None else weight
        for name, values in columns.items():
            self._rows[name].append(values.detach().cpu().clone())

    def _ones(self) -> list[Tensor]:
        """A weight of 1 for each row that is kept."""
        columns = [pieces for name, pieces in self._rows.items() if name != _WEIGHT]
        return [torch.ones(piece.shape) for piece in columns[0]]

    def _total(self, name: str) -> Tensor:
        value, lost = self._totals[name]
        return torch.where(torch.isfinite(value), value + lost, value)

    def _number(self, name: str) -> Tensor:
        """A count: int64, or float64 where something was counted with a weight."""
        count = self._counts[name]
        return count + self._total(_WEIGHTED + name) if _WEIGHTED + name in self._totals else count

    def _row_weight(self) -> Tensor | None:
        """The weight of each row that is kept, in float64; None where none was given."""
        return self._column(_WEIGHT) if _WEIGHT in self._rows else None

    def _column(self, name: str, dtype: torch.dtype = torch.float64) -> Tensor:
        pieces = self._rows[name]
        joined = torch.cat(pieces) if pieces else torch.zeros(0, dtype=dtype)
        self._rows[name] = [joined]
        return joined.to(dtype)

    # -- merging ----------------------------------------------------------------------------------

    def merge(self: _A, other: _A) -> _A:
        """Take in all that another has seen; returns itself.

        Raises:
            OptionError: the other is of another kind, or made with other options.
        """
        if type(other) is not type(self):
            raise OptionError(
                f"a {type(self).__name__} cannot be merged with a {type(other).__name__}; both must be alike."
            )
        for name, mine in self._options.items():
            if not _same(mine, other._options[name]):
                raise OptionError(
                    f"{name} is {mine!r} here and {other._options[name]!r} there; figures merge if they are "
                    "made alike."
                )
        for name, total in other._totals.items():
            mine = _two_sum(self._totals.get(name, torch.zeros_like(total)), total[0])
            self._totals[name] = torch.stack([mine[0], mine[1] + total[1]])
        for name, count in other._counts.items():
            self._counts[name] = self._counts[name] + count
        if (_WEIGHT in self._rows) != (_WEIGHT in other._rows):
            first, second = (part._rows.get(_WEIGHT) or part._ones() for part in (self, other))
            self._rows[_WEIGHT] = first + second
        elif _WEIGHT in other._rows:
            self._rows[_WEIGHT] = self._rows[_WEIGHT] + other._rows[_WEIGHT]
        for name, pieces in other._rows.items():
            if name != _WEIGHT:
                self._rows[name] = self._rows[name] + pieces
        return self

    def __add__(self: _A, other: _A) -> _A:
        return self.copy().merge(other)

    def copy(self: _A) -> _A:
        """One that has seen the same."""
        return self._revived(self.state())

    def _revived(self: _A, state: Mapping[str, Any]) -> _A:
        """One made as this one was, that has seen what the state says."""
        return type(self).from_state(state)

    def state(self) -> dict[str, Any]:
        """All that was seen, as plain values: the ``options``, ``totals``, ``counts`` and ``rows``."""
        return {
            "options": dict(self._options),
            "totals": {name: total.clone() for name, total in self._totals.items()},
            "counts": {name: count.clone() for name, count in self._counts.items()},
            "rows": {name: torch.cat(pieces) for name, pieces in self._rows.items() if pieces},
        }

    @classmethod
    def from_state(cls: type[_A], state: Mapping[str, Any]) -> _A:
        """The accumulator that `state` was taken of."""
        made = cls(**state["options"])
        made._load(state)
        return made

    def _load(self, state: Mapping[str, Any]) -> None:
        self._totals.update({name: total.clone() for name, total in state["totals"].items()})
        self._counts.update({name: count.clone() for name, count in state["counts"].items()})
        self._rows.update({name: [rows] for name, rows in state["rows"].items()})
        lengths = {name: len(rows) for name, rows in state["rows"].items()}
        if _WEIGHT in lengths and len(set(lengths.values())) > 1:
            raise OptionError(
                f"the state's rows have lengths {lengths}; where some rows have a weight, give the others a "
                "weight of 1 when you join them, or use merge()."
            )

    def __repr__(self) -> str:
        options = ", ".join(
            f"{name}={value if not isinstance(value, Tensor) else list(value.shape)!r}"
            for name, value in self._options.items()
        )
        return f"{type(self).__name__}({options})"


def merge_across_processes(accumulator: _A, group: Any = None) -> _A:
    """What all processes of a ``torch.distributed`` group have seen together, the same on each of them.

    Processes may have seen different numbers of examples, or none. Every process of the group must call it.
    Where ``torch.distributed`` is not initialised, a copy of what was given.

    >>> from likelihead.evaluate import NLL
    >>> figure = NLL()
    >>> figure.update(torch.tensor([1.0, 3.0]))
    >>> merge_across_processes(figure).compute()
    2.0
    """
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return accumulator.copy()
    states: list[Any] = [None] * distributed.get_world_size(group)
    distributed.all_gather_object(states, accumulator.state(), group=group)
    parts = [accumulator._revived(state) for state in states]
    for part in parts[1:]:
        parts[0].merge(part)
    return parts[0]


def _two_sum(total: Tensor, value: Tensor) -> Tensor:
    """A sum and its rounding errors, ``[2, ...]``, with a further value (Knuth's two-sum)."""
    old, lost = total
    new = old + value
    back = new - old
    return torch.stack([new, lost + ((old - (new - back)) + (value - back))])


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.equal(first, second)
    return bool(first == second)
