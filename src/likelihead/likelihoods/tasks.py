"""A likelihood by the name of its task, and a task by the look of its targets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.likelihoods.base import REGISTRY, Likelihood

__all__ = ["TaskGuess", "for_task", "infer_task"]

_GRADES = 12  # so many whole numbers in a row that do not start at 0 may be grades
_FEW = 32  # class indices in a row from 0, stored as reals, are taken for classes up to this many


def for_task(task: str, **options: Any) -> Likelihood:
    """The likelihood of a task.

    Args:
        task: ``"regression"``, ``"binary"``, ``"multiclass"``, ``"multilabel"``, ``"count"``,
            ``"overdispersed-count"``, ``"robust-regression"``, ``"quantile"`` or ``"ordinal"``.
        options: the likelihood's own; ``num_classes`` or ``num_labels`` where it needs one.

    Raises:
        OptionError: no task of that name, or a number that the task needs is missing.

    >>> for_task("multiclass", num_classes=3)
    Categorical(3, reduction='mean')
    """
    tasks = {likelihood.task: likelihood for likelihood in REGISTRY.values()}
    if task not in tasks:
        near = get_close_matches(task, tasks, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise OptionError(f"task is {task!r}; expected one of {', '.join(map(repr, sorted(tasks)))}.{hint}")
    needed = {
        "multiclass": "num_classes",
        "multilabel": "num_labels",
        "ordinal": "num_classes",
    }.get(task)
    if needed is not None and needed not in options:
        raise OptionError(
            f"for_task({task!r}) needs {needed}=; or use {tasks[task].__name__}.from_targets(targets), "
            "which counts them."
        )
    return tasks[task](**options)


@dataclass(frozen=True)
class TaskGuess:
    """What targets look like.

    Attributes:
        task: the task's name, as `for_task` takes it.
        options: what `for_task` needs besides, ``{"num_classes": 3}`` for one.
        reasons: what was seen, and what to do to the targets first where something is to be done.
        alternatives: other tasks that the same targets could mean.

    >>> guess = infer_task(torch.tensor([0, 2, 1, 1]))
    >>> print(guess)
    multiclass: 3 different whole numbers from 0 to 2 in shape [4]: class indices
    """

    task: str
    options: dict[str, Any] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    alternatives: list[str] = field(default_factory=list)

    @property
    def is_ambiguous(self) -> bool:
        """Whether the targets could mean another task."""
        return bool(self.alternatives)

    def likelihood(self, **options: Any) -> Likelihood:
        """The likelihood of this task, with further options."""
        return for_task(self.task, **{**self.options, **options})

    def __str__(self) -> str:
        text = f"{self.task}: {'; '.join(self.reasons)}"
        if self.alternatives:
            text += f" (ambiguous: it could be {' or '.join(self.alternatives)})"
        return text


def infer_task(targets: Tensor, *, ignore_index: int = -100) -> TaskGuess:
    """Say what targets look like, with the reasons.

    It is a guess, made from dtype, shape and values; where the same targets could mean something else it
    names that too. Reads the values, so it waits for a GPU.

    Args:
        targets: a tensor of the training targets, or of enough of them.
        ignore_index: a class index that stands for "left out".

    Raises:
        DTypeError: no tensor, such as a list of strings; or a complex one.
        ShapeError: no targets.

    >>> infer_task(torch.tensor([0.3, -1.2, 5.0])).task
    'regression'
    >>> infer_task(torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])).options
    {'num_labels': 3}
    """
    _refuse_what_is_no_target(targets)
    view = _View(targets.detach(), ignore_index)
    for rule in (_truth_values, _whole_number_columns, _real_columns, _one_whole_number, _one_real):
        guess = rule(view)
        if guess is not None:
            return guess
    return TaskGuess("regression", _outputs(view), [*view.reasons, f"{view.what}: real numbers"])


class _View:
    """Targets as the rules look at them."""

    def __init__(self, targets: Tensor, ignore_index: int) -> None:
        self.dtype = targets.dtype
        self.shape = list(targets.shape)
        self.what = f"{str(targets.dtype).removeprefix('torch.')} in shape {self.shape}"
        self.reasons: list[str] = []
        self.is_real = targets.is_floating_point()
        values = targets
        if values.dim() == 2 and values.shape[1] == 1:
            values = values.squeeze(1)
            self.reasons.append("a column is read as a list")
        self.columns = values.shape[1] if values.dim() > 1 else None
        self.values = values
        present = values.flatten()
        missing = int(present.isnan().sum()) if self.is_real else 0
        if missing:
            present = present[~present.isnan()]
            self.reasons.append(f"{missing} of {values.numel()} are NaN: missing")
        elif not self.is_real and present.dtype != torch.bool:
            ignored = present.long() == ignore_index
            if bool(ignored.any()):
                self.reasons.append(
                    f"{int(ignored.sum())} of {present.numel()} are ignore_index={ignore_index}"
                )
                present = present[~ignored]
        if present.numel() == 0:
            raise ShapeError(f"targets have shape {self.shape} and hold no value that counts; expected some.")
        self.has_missing = bool(missing)
        self.present = present
        infinite = int(present.isinf().sum()) if self.is_real else 0
        self.is_finite = infinite == 0
        if infinite:
            self.reasons.append(f"{infinite} of {values.numel()} are infinite: no likelihood scores those")
        self.low, self.high = present.min().item(), present.max().item()

    @property
    def is_zero_one(self) -> bool:
        return bool(((self.present == 0) | (self.present == 1)).all())

    @property
    def is_probability(self) -> bool:
        return bool(self.low >= 0 and self.high <= 1)

    def rows(self) -> Tensor:
        """One row for each example, the columns in dimension 1."""
        return self.values.movedim(1, -1).flatten(0, -2)


def _refuse_what_is_no_target(targets: object) -> None:
    if not isinstance(targets, Tensor):
        first = next(iter(targets), None) if isinstance(targets, Iterable) else None
        held = "" if first is None else f" of {type(first).__name__}"
        advice = (
            "Number the classes first: sorted(set(targets)) gives their names in order."
            if isinstance(first, str)
            else "Use torch.as_tensor(targets)."
        )
        raise DTypeError(f"targets is a {type(targets).__name__}{held}; expected a torch.Tensor. {advice}")
    if targets.is_complex():
        raise DTypeError(f"targets is {targets.dtype}; expected integers, truth values or real numbers.")
    if targets.numel() == 0:
        raise ShapeError(f"targets have shape {list(targets.shape)}: there is none to look at.")


def _truth_values(view: _View) -> TaskGuess | None:
    if view.dtype != torch.bool:
        return None
    if view.columns is None:
        return TaskGuess("binary", {}, [*view.reasons, f"{view.what}: yes or no"])
    return TaskGuess(
        "multilabel",
        {"num_labels": view.columns},
        [*view.reasons, f"{view.what}: yes or no in {view.columns} columns"],
    )


def _whole_number_columns(view: _View) -> TaskGuess | None:
    """Columns of 0 and 1: one-hot or multi-hot."""
    if view.columns is None or not view.is_zero_one:
        return None
    columns = view.columns
    ones = torch.nan_to_num(view.rows().double()).sum(1)
    if not view.has_missing and bool((ones == 1).all()):
        return TaskGuess(
            "multiclass",
            {"num_classes": columns},
            [
                *view.reasons,
                f"{view.what}: every row has exactly one 1 in {columns} columns: one-hot",
                "targets.argmax(1) gives the class indices",
            ],
            ["multilabel"],
        )
    low, high = int(ones.min()), int(ones.max())
    return TaskGuess(
        "multilabel",
        {"num_labels": columns},
        [*view.reasons, f"{view.what}: 0 and 1 with {low} to {high} ones in a row: multi-hot"],
        ["binary"] if len(view.shape) > 2 else [],  # a map of yes and no, one for each pixel
    )


def _real_columns(view: _View) -> TaskGuess | None:
    """Columns of probabilities or of real numbers."""
    if view.columns is None or not view.is_real:
        return None
    if view.is_probability:
        sums = view.rows().double().sum(1)
        if bool(((sums - 1).abs() <= 1e-3).all()):
            return TaskGuess(
                "multiclass",
                {"num_classes": view.columns},
                [*view.reasons, f"{view.what}: rows in [0, 1] that sum to one: class probabilities"],
            )
        return TaskGuess(
            "multilabel",
            {"num_labels": view.columns},
            [
                *view.reasons,
                f"{view.what}: values in [0, 1] whose rows do not sum to one: label probabilities",
            ],
            ["regression"],
        )
    return TaskGuess("regression", _outputs(view), [*view.reasons, f"{view.what}: real numbers"])


def _one_whole_number(view: _View) -> TaskGuess | None:
    """Whole numbers, one for each target: yes or no, or class indices."""
    if view.is_real and not (view.is_finite and bool((view.present == view.present.round()).all())):
        return None
    low, high = int(view.low), int(view.high)
    stored = [f"they are stored as {str(view.dtype).removeprefix('torch.')}"] if view.is_real else []
    if view.is_zero_one:
        if low == high:
            reasons = [f"{view.what}: only {low} occurs", "one outcome alone cannot be learnt from"]
            return TaskGuess("binary", {}, [*view.reasons, *reasons], ["multiclass"])
        # Two exclusive classes with two logits say the same, so that is no other meaning.
        return TaskGuess("binary", {}, [*view.reasons, f"{view.what}: 0 and 1"])
    if low == -1 and high == 1 and not bool((view.present == 0).any()):
        reasons = [f"{view.what}: -1 and 1", "(targets + 1) / 2 gives the 0 and 1 that a Bernoulli takes"]
        return TaskGuess("binary", {}, [*view.reasons, *reasons], ["regression"])
    different = int(torch.unique(view.present).numel())
    whole = f"{different} different whole numbers from {low} to {high} in shape {view.shape}"
    if low < 0:
        return TaskGuess("regression", {}, [*view.reasons, f"{whole}: no class index is negative"])
    if view.is_real:
        if low == 0 and different == high + 1 <= _FEW:
            reasons = [whole, *stored, "targets.long() gives the class indices"]
            return TaskGuess(
                "multiclass", {"num_classes": high + 1}, [*view.reasons, *reasons], ["regression"]
            )
        return TaskGuess("regression", {}, [*view.reasons, whole, *stored], ["count"])
    alternatives: list[str] = []
    reasons = [f"{whole}: class indices"]
    if 2 * different > view.present.numel() > _FEW:
        reasons.append("most values occur once")
        alternatives += ["regression", "count"]
    elif different < high + 1:
        reasons.append(f"{high + 1 - different} of the {high + 1} classes do not occur")
        if different < (high + 1) / 2:
            alternatives += ["regression", "count"]
        elif low > 0 and different == high - low + 1 <= _GRADES:
            reasons.append(
                f"they go up without a gap from {low}, as grades do: targets - {low} are their places"
            )
            alternatives.append("ordinal")
    return TaskGuess("multiclass", {"num_classes": high + 1}, [*view.reasons, *reasons], alternatives)


def _one_real(view: _View) -> TaskGuess | None:
    """Real numbers in [0, 1], one for each target."""
    if view.columns is None and view.is_real and view.is_probability:
        reasons = [f"{view.what}: real numbers in [0, 1]", "they could be shares, or probabilities of a yes"]
        return TaskGuess("regression", {}, [*view.reasons, *reasons], ["binary"])
    return None


def _outputs(view: _View) -> dict[str, Any]:
    # A Gaussian has its outputs last; classes and labels lie along dimension 1.
    return {} if view.columns is None else {"num_outputs": view.values.shape[-1]}
