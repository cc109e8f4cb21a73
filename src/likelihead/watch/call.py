"""What the checks get to see: a loss call, a backward pass, an optimizer step, a use of a tagged tensor.

Events live as long as they are handed round: a check that wants something for later copies numbers out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from likelihead.watch.losses import LossSpec
from likelihead.watch.places import Spot
from likelihead.watch.tags import Tag

if TYPE_CHECKING:
    from likelihead.watch.look import Look

__all__ = ["Backward", "FailedCall", "LossCall", "Step", "Use"]

Phase = Literal["training", "evaluation"]


@dataclass(slots=True)
class LossCall:
    """A loss call that was looked into.

    Attributes:
        number: of all loss calls of this process, from 0.
        spec: the loss.
        at: the user's line.
        phase: whether a gradient is wanted.
        step: optimizer steps done before.
        options: the arguments by name, without input and target; only those given.
        input, target, result: the tensors; None once the call has been handed round.
        input_tag, target_tag: what is known of them; None at the first call after a stretch that was not
            followed.
        deep: whether tensors were followed on the way to this call.
        input_shape, target_shape: for later.
        look: the numbers in it; on a device they come later, with `Check.looked`.
    """

    number: int
    spec: LossSpec
    at: Spot
    phase: Phase
    step: int
    options: dict[str, Any]
    input: Tensor | None
    target: Any
    result: Tensor | None
    input_tag: Tag | None
    target_tag: Tag | None
    deep: bool
    input_shape: tuple[int, ...] = ()
    target_shape: tuple[int, ...] = ()
    look: Look | None = None

    @property
    def key(self) -> tuple[str, Spot, Phase]:
        """Of its site."""
        return self.spec.name, self.at, self.phase

    @property
    def reduction(self) -> str:
        """``"mean"``, ``"sum"`` or ``"none"``, whichever way it was said."""
        given = self.options.get("reduction", "mean")
        if self.options.get("reduce") is False:
            return "none"
        if self.options.get("size_average") is False:
            return "sum"
        return str(given)

    @property
    def ignore_index(self) -> int | None:
        """Of a loss over classes."""
        return int(self.options.get("ignore_index", -100)) if self.spec.by_class else None


@dataclass(frozen=True)
class FailedCall:
    """A loss call that torch refused: `error` is on its way to the user."""

    spec: LossSpec
    at: Spot
    step: int
    options: dict[str, Any]
    input: Any
    target: Any
    error: Exception


@dataclass(frozen=True)
class Backward:
    """A backward pass that has ended.

    Attributes:
        at: the user's line.
        step: optimizer steps done before.
        tags: of the tensors it began at; a tag is None where nothing is known.
        deep: whether tensors were followed all the way since the last step or pass.
        plain: no gradient was passed to it, no graph kept or made, no inputs were named.
    """

    at: Spot
    step: int
    tags: tuple[Tag | None, ...]
    deep: bool
    plain: bool = True


@dataclass(frozen=True)
class Step:
    """An optimizer has stepped.

    Attributes:
        optimizer: it.
        at: the user's line.
        step: its number: 0 for the first.
        deep: whether tensors were followed during all of this step.
    """

    optimizer: Any
    at: Spot
    step: int
    deep: bool


@dataclass(frozen=True)
class Use:
    """A tagged tensor was put to a use that says something about what it is taken for.

    Attributes:
        what: ``"softmax"``, ``"log"``, ``"exp"``, ``"item"``, ``"argmax"``, ``"compare"``, ...
        tag: of the tensor.
        at: the user's line.
        step: optimizer steps done before.
        grad: whether gradients are recorded.
        value: of an ``"item"``.
        dim: that the use ran over.
    """

    what: str
    tag: Tag
    at: Spot
    step: int
    grad: bool
    value: float | None = None
    dim: int | None = None
    details: dict[str, Any] = field(default_factory=dict)
