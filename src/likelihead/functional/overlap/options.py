"""The options that the overlap losses share, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from likelihead.core.reduction import Normalizer, check_reduction
from likelihead.errors import DomainError, DTypeError, OptionError, ShapeError

__all__ = ["Classes", "Options", "Task", "check_number"]

Task = Literal["multiclass", "binary", "multilabel"]
Classes = Literal["present", "all"]


@dataclass(frozen=True)
class Options:
    """How the values of classes and images become one number; see the docstrings of the losses."""

    from_logits: bool
    task: Task
    ignore_index: int
    mask: Tensor | None
    sample_weight: Tensor | None
    weight: Tensor | None
    per_image: bool
    classes: Classes
    per_class: bool
    reduction: str
    normalizer: Normalizer | None

    def __post_init__(self) -> None:
        for name in ("from_logits", "per_image", "per_class"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise DTypeError(f"{name} is {_shown(value)}; expected True or False.")
        _one_of("task", self.task, get_args(Task))
        _one_of("classes", self.classes, get_args(Classes))
        if isinstance(self.ignore_index, bool) or not isinstance(self.ignore_index, int):
            raise DTypeError(
                f"ignore_index is {_shown(self.ignore_index)}; expected a whole number, such as 255."
            )
        for name in ("mask", "sample_weight", "weight"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, Tensor):
                raise DTypeError(f"{name} is a {type(value).__name__}; expected a tensor.")
        check_reduction(self.reduction, self.normalizer)
        if self.per_class and self.reduction != "none":
            raise OptionError(
                f"per_class=True returns a value for each class, but reduction is {self.reduction!r}; "
                "use reduction='none' with it."
            )

    def check_weight(self, input: Tensor, num_classes: int) -> None:
        """Refuse a class weight that is not one number for each class.

        Raises:
            ShapeError: it is not ``[C]`` (LH602).
            DTypeError, DomainError: it is not of real numbers, or negative or not finite.
        """
        weight = self.weight
        if weight is None:
            return
        if weight.is_complex() or weight.dtype is torch.bool:
            raise DTypeError(f"weight is {weight.dtype}; expected real numbers, one for each class.")
        if weight.shape != (num_classes,):
            raise ShapeError(
                f"weight has shape {list(weight.shape)}; expected [{num_classes}], one for each class.",
                code="LH602",
            )

    def check_weight_values(self) -> None:
        """Refuse class weights that are negative or not finite; reads them.

        Raises:
            DomainError: there is one.
        """
        if self.weight is not None:
            weight = self.weight.detach()
            if not bool((torch.isfinite(weight) & (weight >= 0)).all()):
                raise DomainError(
                    f"weight is {weight.tolist()}; expected finite numbers that are not negative. A weight "
                    "of 0 leaves its class out."
                )


def check_number(name: str, value: object, *, above: float | None = None) -> float:
    """A finite number, not negative, or above a bound.

    Raises:
        DTypeError: it is no number.
        OptionError: it is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DTypeError(f"{name} is {_shown(value)}; expected a number.")
    # Comparisons alone, which a compiler can trace for a number that it takes as unknown.
    if not (0 <= value < math.inf if above is None else above < value < math.inf):
        wanted = "not negative" if above is None else f"above {above:g}"
        raise OptionError(f"{name} is {value}; expected a finite number that is {wanted}.")
    return float(value)


def _one_of(name: str, value: object, names: tuple[str, ...]) -> None:
    if value not in names:
        raise OptionError(f"{name} is {_shown(value)}; expected one of {', '.join(map(repr, names))}.")


def _shown(value: object) -> str:
    return f"a {type(value).__name__}" if isinstance(value, Tensor) else repr(value)
