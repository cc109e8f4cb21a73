"""What is known of a tensor: how it was made, and where.

The book is keyed by the tensor's id and holds a weak reference to it: a tag dies with its tensor. A tensor
that was changed in place since is unknown: its version counter tells, which views share with their base.
Nothing is written on the tensor itself, since copies and pickles would carry it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from likelihead.watch.places import Spot

__all__ = ["Book", "Kind", "LossTerm", "Padded", "Tag"]

Kind = Literal[
    "layer",  # the output of a linear or convolution layer: raw scores
    "softmax",
    "log_softmax",
    "sigmoid",
    "log_sigmoid",
    "log_of_softmax",  # in two steps
    "log_of_sigmoid",
    "exp_of_layer",
    "one_hot",
    "class_index",  # of an argmax
    "sampled",  # drawn from a distribution
    "sequences",  # integers [batch, time], made flat
    "padded",  # integers of rows that were filled up to one length
    "loss",
    "multiple",  # a sum or a part of what ``of`` says, on its way to an average
]


@dataclass(frozen=True)
class LossTerm:
    """A part of a number that is made of losses: ``factor`` times what one loss call returned.

    Attributes:
        call: the number of the loss call in this process.
        site: the key of its site.
        factor: as far as it is known; None where it was multiplied by something unknown.
        mean: whether the loss is a mean over ``count`` targets; else a sum, or one number of many.
        count: how many targets (not ignored) or elements the call had; None where it was not looked at.
    """

    call: int
    site: Any
    factor: float | None
    mean: bool
    count: float | None


@dataclass(frozen=True)
class Padded:
    """How rows of integers were filled up.

    Attributes:
        value: with what.
        count: how many of the positions.
        size: how many positions there are, in all rows.
        least, most: of one row.
    """

    value: int
    count: int
    size: int
    least: int
    most: int


@dataclass(frozen=True)
class Tag:
    """How a tensor was made.

    Attributes:
        kind: by what.
        at: the user's line that made it.
        dim: for a softmax: the dimension of *this* tensor that it ran over, from the front; None where that
            is not known any more.
        rest_of: the dimension that it ran over, where entries of it were picked and so only some are left.
        whole: no element was dropped, changed or put beside others since.
        mixed: it is an average of several, an interpolation, or is multiplied by something.
        guarded: it was clamped, or a constant was added before a logarithm was taken.
        of: what it was made of: the logits' tag under a softmax.
        terms: of a ``"loss"``.
        shape: of integers that were made flat: the sizes before.
        padded: of a ``"padded"`` tensor, before anything was cut off.
        layer: of a ``"layer"``: which one it is, by the id of its weight.
        share: of a ``"multiple"``: how much of ``of`` it is: 2.0 for a sum of two.
    """

    kind: Kind
    at: Spot
    dim: int | None = None
    rest_of: int | None = None
    whole: bool = True
    mixed: bool = False
    guarded: bool = False
    of: Tag | None = None
    terms: tuple[LossTerm, ...] = ()
    shape: tuple[int, ...] = ()
    padded: Padded | None = None
    layer: int | None = None
    share: float = 1.0

    def but(self, **changes: Any) -> Tag:
        """The same with some attributes changed; with another ``dim`` goes ``rest_of``."""
        if "dim" in changes:
            changes.setdefault("rest_of", None)
        return replace(self, **changes)


class Book:
    """Tags by tensor."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Tensor], int, Tag]] = {}

    def get(self, tensor: Any) -> Tag | None:
        """What is known of this tensor; None where nothing is, or where it was changed since."""
        entry = self._entries.get(id(tensor))
        if entry is None:
            return None
        reference, version, tag = entry
        found = reference()
        if found is None or found is not tensor or version != _version(found):
            self._entries.pop(id(tensor), None)
            return None
        return tag

    def before(self, tensor: Any) -> Tag | None:
        """What was known before the change in place that has just been."""
        entry = self._entries.get(id(tensor))
        if entry is None:
            return None
        reference, version, tag = entry
        now = _version(tensor)
        return tag if reference() is tensor and now - version in (0, 1) else None

    def put(self, tensor: Any, tag: Tag) -> None:
        """Write down how this tensor was made."""
        if not isinstance(tensor, Tensor):
            return
        key = id(tensor)
        self._entries[key] = (weakref.ref(tensor, _forgetter(self._entries, key)), _version(tensor), tag)

    def forget(self, tensor: Any) -> None:
        """Nothing is known of this tensor any more."""
        self._entries.pop(id(tensor), None)

    def changed(self, tensor: Any) -> None:
        """This tensor was changed in place: nothing is known of it, nor of what shares its memory.

        Version counters tell that of most views; not of tensors of the inference mode, nor behind ``.data``.
        """
        known = self._entries.pop(id(tensor), None)
        if not isinstance(tensor, Tensor) or (known is None and not tensor.is_inference()):
            return
        if not self._entries or tensor.layout is not torch.strided:
            return
        memory = tensor.untyped_storage().data_ptr()
        for key, (reference, _, _) in list(self._entries.items()):
            other = reference()
            if other is not None and memory and other.untyped_storage().data_ptr() == memory:
                self._entries.pop(key, None)

    def clear(self) -> None:
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)


def _forgetter(entries: dict[int, Any], key: int) -> Callable[[Any], None]:
    def forget(reference: Any) -> None:
        entry = entries.get(key)
        if entry is not None and entry[0] is reference:
            del entries[key]

    return forget


def _version(tensor: Tensor) -> int:
    # A tensor made in inference mode has no counter; `kinds` forgets those that are changed in place.
    return -1 if tensor.is_inference() else tensor._version
