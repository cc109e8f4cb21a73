"""Tensors and figures: the values that the rules judge, and the base of all values.

They are known by what they are (a softmax over some dimension, the sum of the means of batches), by where
they became that, and by the calls that they came through since.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likelihead.lint.interpreter.frames import Scope

__all__ = ["Figure", "Made", "Shape", "Tensor", "Value"]

# The sizes of a tensor; None for a size that is not known, and Ellipsis in front where the rank is not known.
Shape = tuple[Any, ...]


class Made:
    """The place in the source where a value was made, and what happened there in a few words.

    `edited` says that entries of it were overwritten since, by that name or any other: what is known of its
    values does not hold any more.
    """

    __slots__ = ("edited", "node", "scope", "text")

    def __init__(self, scope: Scope, node: ast.AST, text: str) -> None:
        self.scope = scope
        self.node = node
        self.text = text
        self.edited = False


class Value:
    """Base of all abstract values."""

    __slots__ = ()


class Tensor(Value):
    """A tensor (or array) of which something is known.

    Attributes:
        kind: ``logits`` (an affine layer's output), ``log_probs``, ``probs`` (a softmax), ``sigmoid``
        (independent
            probabilities), ``log_sigmoid``, ``exp_logits``, ``indices``, ``one_hot``, ``multi_hot``,
            ``max_values``, ``per_example`` (unreduced losses), or ``data`` (only the shape or dtype is
            known).
        dim: of a softmax or argmax: the dimension it ran over as it stands in the call, None for the implicit
            one, ``"?"`` where it is not known.
        made: where it became that.
        calls: the calls that it was returned from since, innermost first.
        shape: its sizes, as far as they are known.
        dtype: ``"float"``, ``"long"``, ``"int"``, ``"bool"``, ``"uint8"``, or "" where it is not known.
        marks: what else is known, such as ``"by hand"`` or ``"padded with 0"``.
        origin: the tensor that a link was applied to, for a value that came out of one.
    """

    __slots__ = ("calls", "dim", "dtype", "kind", "made", "marks", "origin", "shape")

    def __init__(
        self,
        kind: str,
        made: Made | None = None,
        dim: Any = None,
        shape: Shape | None = None,
        dtype: str = "",
        marks: frozenset[str] = frozenset(),
        calls: tuple[Made, ...] = (),
        origin: Value | None = None,
    ) -> None:
        self.kind = kind
        self.made = made
        self.dim = dim
        self.shape = shape
        self.dtype = dtype
        self.marks = marks
        self.calls = calls
        self.origin = origin

    def but(self, **changes: Any) -> Tensor:
        """The same tensor with some attributes changed."""
        fields = {name: changes.get(name, getattr(self, name)) for name in Tensor.__slots__}
        return Tensor(**fields)

    @property
    def last(self) -> int | None:
        """The size of the last dimension, if it is known."""
        return self.shape[-1] if self.shape and isinstance(self.shape[-1], int) else None

    @property
    def rank(self) -> int | None:
        """The number of dimensions, if it is known."""
        return None if self.shape is None or ... in self.shape else len(self.shape)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.shape} {self.dtype} {sorted(self.marks)}>"


class Figure(Value):
    """A number that came out of losses or counts: what it is the sum or mean of.

    Attributes:
        kind: ``loss`` (the mean of one batch), ``loss_sum`` (the sum of one batch), ``sum_of_means``,
            ``mean_of_means``, ``perplexity``, ``sum_of_perplexities``, ``batches`` (how many), ``examples``,
            ...
        unit: ``nats``, ``bits`` or "".
        made: where it became that.
        marks: what else is known.
        calls: the calls that it was returned from since, innermost first.
        loop: of a sum, or of a loss kept in a list: the loop over whose rounds it was taken.
        origin: what it is the length or the sum of.
    """

    __slots__ = ("calls", "kind", "loop", "made", "marks", "origin", "unit")

    def __init__(
        self,
        kind: str,
        made: Made | None = None,
        unit: str = "",
        marks: frozenset[str] = frozenset(),
        calls: tuple[Made, ...] = (),
        loop: ast.AST | None = None,
        origin: Value | None = None,
    ) -> None:
        self.kind = kind
        self.made = made
        self.unit = unit
        self.marks = marks
        self.calls = calls
        self.loop = loop
        self.origin = origin

    def but(self, **changes: Any) -> Figure:
        """The same figure with some attributes changed."""
        fields = {name: changes.get(name, getattr(self, name)) for name in Figure.__slots__}
        return Figure(**fields)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.unit} {sorted(self.marks)}>"
