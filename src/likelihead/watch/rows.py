"""What stands at the ends of the rows of integers, measured where they lie and without a branch on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from likelihead.watch.call import LossCall

__all__ = ["Runs", "Target", "alone", "beside", "first", "runs", "target_rows"]

_ELEMENTS = 1 << 19  # of a larger tensor the first rows are looked at


@dataclass(frozen=True, eq=False)
class Runs:
    """How rows end.

    Attributes:
        value: the one number at the end of the row that has most of it there.
        real: for each row how many stand before its run of that number.
        elsewhere: how often it occurs before these runs.
    """

    value: Tensor
    real: Tensor
    elsewhere: Tensor


def runs(ids: Tensor) -> Runs:
    """Of the rows of ``[B, T]``."""
    place = torch.arange(1, ids.shape[1] + 1, device=ids.device)
    own = torch.where(ids != ids[:, -1:], place, 0).amax(1)
    value = ids[:, -1].index_select(0, own.argmin().reshape(1))
    other = ids != value
    real = torch.where(other, place, 0).amax(1)
    return Runs(value, real, real.sum() - other.sum())


@dataclass(frozen=True, eq=False)
class Target:
    """The class indices of a loss call, as rows ``[B, T]`` along ``dim`` of ``shape``."""

    rows: Tensor
    call: LossCall
    shape: tuple[int, int]
    dim: int

    def filled(self, value: Tensor) -> dict[str, Tensor]:
        """Of the targets of this value: how many there are, and what says that they are masked."""
        which = self.rows == value
        found = {"count": which.sum()}
        index = value.long().clamp(0, self.call.input_shape[1] - 1)
        weight = self.call.options.get("weight")
        if isinstance(weight, Tensor):
            found["weight"] = weight.detach().index_select(0, index)[0]
        if self.call.spec.expects == "log-probabilities" and self.call.input is not None:
            picked = self.call.input.detach().index_select(1, index).reshape(self.shape)
            picked = picked if self.dim == 1 else picked.t()
            found["cost"] = (picked[: len(self.rows)] * which).abs().amax()
        return found


def target_rows(call: LossCall, shape: tuple[int, ...], dim: int) -> Target | None:
    """The target of this call; None where it has no such rows."""
    target = call.target
    if len(shape) != 2 or not isinstance(target, Tensor) or target.numel() != shape[0] * shape[1]:
        return None
    rows = target.detach().reshape(shape)
    rows = rows if dim == 1 else rows.t()
    return Target(first(rows), call, (shape[0], shape[1]), dim)


def first(rows: Tensor) -> Tensor:
    """As many rows as are looked at."""
    return rows[: max(2, _ELEMENTS // max(rows.shape[1], 1))]


def beside(target: Target, ids: Runs) -> dict[str, Tensor]:
    """The target at the positions where the ids of the same rows have come to their end."""
    rows = target.rows[: len(ids.real)]
    target = replace(target, rows=rows)
    most, real = rows.shape[1], ids.real[: len(rows)]
    past = torch.arange(most, device=rows.device) >= real.unsqueeze(1)
    ignore_index = target.call.ignore_index
    if ignore_index is not None:  # the step that a shift by one leaves over, in every row
        past = past & (rows != ignore_index).any(0)
    none = torch.iinfo(rows.dtype)
    high = rows.masked_fill(~past, none.min).amax()
    run = (most - real).clamp_min(0)
    return {
        "positions": past.sum(),
        "low": rows.masked_fill(~past, none.max).amin(),
        "high": high,
        "value": ids.value[0],
        "elsewhere": ids.elsewhere,
        "least": ids.real.amin(),
        **_of_runs(run),
        **target.filled(high.reshape(1)),
    }


def alone(target: Target) -> dict[str, Tensor]:
    """What the target itself shows."""
    rows = target.rows
    found = runs(rows)
    classes = target.call.input_shape[1]
    index = rows.long().clamp(0, classes - 1).flatten()
    ones = torch.ones(1, device=rows.device).expand(index.shape)
    counts = torch.zeros(classes, device=rows.device).index_add_(0, index, ones)
    inside = torch.arange(1, rows.shape[1], device=rows.device) < found.real.unsqueeze(1)
    neighbours = inside.sum().clamp_min(1)
    alike, falling = (rows[:, 1:] == rows[:, :-1]) & inside, (rows[:, 1:] < rows[:, :-1]) & inside
    return {
        "positions": (rows.shape[1] - found.real).sum(),
        "low": found.value[0],
        "high": found.value[0],
        "value": found.value[0],
        "elsewhere": found.elsewhere,
        "least": found.real.amin(),
        "classes": (counts > 0).sum(),
        "alike": alike.sum() / neighbours,
        "falling": falling.sum() / neighbours,
        **_of_runs(rows.shape[1] - found.real),
        **target.filled(found.value),
    }


def _of_runs(run: Tensor) -> dict[str, Tensor]:
    return {
        "ending": (run >= 2).sum(),
        "shortest": run.amin(),
        "middle": run.median(),
        "longest": run.amax(),
    }
