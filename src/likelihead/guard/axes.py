"""One step of the walk through an autograd graph: from a node's output to its input, dimension by dimension.

Each step knows one node that leaves the numbers as they are, or picks some of them, and says which dimension
of the input became which of the output. Where that cannot be told the dimensions are lost, and the walk goes
on without them. The nodes that change numbers or join several tensors lie in `mixing`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from typing import Any, Literal

__all__ = ["STEPS", "Node", "Walk", "regrouped", "signed"]

_WRAP = 1 << 64  # a negative dimension is saved as an unsigned integer

Node = Any  # torch's node types are made at run time and have no stubs


class Walk:
    """The state of a walk: which dimension of the traced tensor each dimension of the current one became.

    And what was done to the numbers on the way: ``factor`` is what the current tensor is multiplied by;
    ``mixed`` that it is averaged with others; ``clamped`` and ``guarded`` (before a logarithm) that it is
    kept from 0 or 1; ``shifted`` that a constant of unknown size is added, or stands beside it.
    """

    def __init__(self, sizes: tuple[int, ...] | None, steps: int) -> None:
        self.sizes = sizes
        self.axes: list[int | None] | None = None if sizes is None else list(range(len(sizes)))
        self.whole = True
        self.clamped = self.guarded = self.mixed = self.shifted = False
        self.factor = 1.0
        self.function: Literal["exp", "log"] | None = None  # applied after the node that is looked for
        self.steps = steps

    def lose_track(self) -> None:
        self.axes = self.sizes = None

    def branch(self) -> Walk:
        """The walk into one of several inputs: the same history, no dimensions."""
        other = copy(self)
        other.lose_track()
        return other

    def mix(self) -> bool:
        """An average of numbers: within their range, but no function of it is known any more."""
        self.whole = False
        self.mixed = True
        return self.function is None

    def shift(self) -> bool:
        """A constant is added. Before a logarithm it is the usual guard against log(0)."""
        self.whole = False
        if self.function == "log":
            self.guarded = True
            return True
        self.shifted = True
        return self.function is None

    def stand_beside(self) -> bool:
        """Some of the numbers are of unknown origin."""
        self.whole = False
        self.shifted = True
        self.lose_track()
        return self.function is None


# -- steps: False where the walk must end ------------------------------------------------------------


def signed(dim: int, ndim: int) -> int:
    """A saved dimension, counted from the front."""
    if dim >= _WRAP >> 1:
        dim -= _WRAP
    return dim + ndim if dim < 0 else dim


def _same(node: Node, walk: Walk) -> bool:
    return True


def _permuted(walk: Walk, order: list[int]) -> bool:
    """``order[i]`` is the input's dimension that became dimension ``i`` of the output."""
    if walk.axes is None:
        return True
    if sorted(order) != list(range(len(walk.axes))):
        walk.lose_track()
        return True
    place = {source: i for i, source in enumerate(order)}
    axes, sizes = walk.axes, walk.sizes
    walk.axes = [axes[place[i]] for i in range(len(axes))]
    walk.sizes = None if sizes is None else tuple(sizes[place[i]] for i in range(len(axes)))
    return True


def _transpose(node: Node, walk: Walk) -> bool:
    if walk.axes is None:
        return True
    order = list(range(len(walk.axes)))
    first, second = signed(node._saved_dim0, len(order)), signed(node._saved_dim1, len(order))
    if max(first, second) >= len(order):
        walk.lose_track()  # a 0-d tensor may be transposed over dimension 0
        return True
    order[first], order[second] = order[second], order[first]
    return _permuted(walk, order)


def _t(node: Node, walk: Walk) -> bool:
    return _permuted(walk, [] if walk.axes is None else list(range(len(walk.axes)))[::-1])


def _permute(node: Node, walk: Walk) -> bool:
    return _permuted(walk, [signed(dim, len(node._saved_dims)) for dim in node._saved_dims])


def _unsqueeze(node: Node, walk: Walk) -> bool:
    if walk.axes is not None:
        dim = signed(node._saved_dim, len(walk.axes))
        walk.axes = walk.axes[:dim] + walk.axes[dim + 1 :]
        if walk.sizes is not None:
            walk.sizes = walk.sizes[:dim] + walk.sizes[dim + 1 :]
    return True


def _squeeze(node: Node, walk: Walk) -> bool:
    sizes = tuple(node._saved_self_sym_sizes)
    dims = getattr(node, "_saved_dim", None)
    if dims is None:
        named = set(range(len(sizes)))
    else:
        named = {signed(dim, len(sizes)) for dim in ([dims] if isinstance(dims, int) else dims)}
    gone = {dim for dim in named if dim < len(sizes) and sizes[dim] == 1}
    return _inserted(walk, sizes, gone)


def _inserted(walk: Walk, sizes: tuple[int, ...], gone: set[int]) -> bool:
    """The input has these sizes, and its dimensions ``gone`` have no counterpart in the output."""
    if walk.axes is None or len(walk.axes) + len(gone) != len(sizes):
        walk.axes = None
    else:
        left = iter(walk.axes)
        walk.axes = [None if dim in gone else next(left) for dim in range(len(sizes))]
    walk.sizes = sizes
    return True


def _view(node: Node, walk: Walk) -> bool:
    sizes = tuple(node._saved_self_sym_sizes)
    if walk.axes is not None and walk.sizes is not None:
        walk.axes = regrouped(walk.sizes, walk.axes, sizes)
    else:
        walk.axes = None
    walk.sizes = sizes
    return True


def regrouped(
    output: tuple[int, ...], axes: list[int | None], source: tuple[int, ...]
) -> list[int | None] | None:
    """The dimensions of ``source`` that a reshape to ``output`` leaves as they are, with their axes.

    Both sides are cut at the places where the products of the sizes so far agree; a piece that holds one
    dimension longer than 1 on each side is that dimension unchanged.
    """
    if math.prod(output) == 0:
        return None
    result: list[int | None] = [None] * len(source)
    i = j = 0
    while i < len(source) and j < len(output):
        sources, outputs = [i], [j]
        left, right = source[i], output[j]
        i, j = i + 1, j + 1
        while left != right:
            if left < right and i < len(source):
                left *= source[i]
                sources.append(i)
                i += 1
            elif right < left and j < len(output):
                right *= output[j]
                outputs.append(j)
                j += 1
            else:
                return None
        long_sources = [dim for dim in sources if source[dim] > 1]
        long_outputs = [dim for dim in outputs if output[dim] > 1]
        if len(long_sources) == len(long_outputs) == 1:
            result[long_sources[0]] = axes[long_outputs[0]]
    return result


def _slice(node: Node, walk: Walk) -> bool:
    sizes = tuple(node._saved_self_sym_sizes)
    walk.whole = walk.whole and sizes == walk.sizes
    walk.sizes = sizes
    return True


def _pick(node: Node, walk: Walk) -> bool:
    """Rows or columns picked by index: each dimension stays."""
    walk.whole = False
    walk.sizes = None
    return True


def _select(node: Node, walk: Walk) -> bool:
    walk.whole = False
    sizes = tuple(node._saved_self_sym_sizes)
    return _inserted(walk, sizes, {signed(node._saved_dim, len(sizes))})


def _scatter_pick(node: Node, walk: Walk) -> bool:
    walk.whole = False
    walk.lose_track()
    return True


def _expand(node: Node, walk: Walk) -> bool:
    sizes = tuple(node._saved_self_sym_sizes)
    walk.whole = False
    if walk.axes is not None and walk.sizes is not None and len(sizes) <= len(walk.axes):
        behind = len(walk.axes) - len(sizes)
        walk.axes = [
            axis if size == grown else None
            for axis, size, grown in zip(walk.axes[behind:], sizes, walk.sizes[behind:], strict=True)
        ]
    else:
        walk.axes = None
    walk.sizes = sizes
    return True


def _repeat(node: Node, walk: Walk) -> bool:
    sizes, repeats = tuple(node._saved_self_sym_sizes), tuple(node._saved_repeats)
    walk.whole = False
    behind = len(repeats) - len(sizes)
    if walk.axes is not None and len(walk.axes) == len(repeats):
        kept = zip(walk.axes[behind:], repeats[behind:], strict=True)
        walk.axes = [axis if times == 1 else None for axis, times in kept]
    else:
        walk.axes = None
    walk.sizes = sizes
    return True


def _roll(node: Node, walk: Walk) -> bool:
    if not node._saved_dims:
        return _scatter_pick(node, walk)  # over the flat numbers
    return True


def _power(node: Node, walk: Walk) -> bool:
    return bool(node._saved_exponent == 1)


# Some of the numbers, in an order that no dimension survives.
_PICKS = (
    *("Gather", "Take", "MaskedSelect", "Index", "Unbind", "Diagonal", "AsStrided", "Unfold", "Rot90"),
    *("Sort", "Topk", "Kthvalue", "Max", "Min", "Amax", "Amin", "Median", "Cummax", "Cummin", "Embedding"),
    *("PixelShuffle", "PixelUnshuffle", "ChannelShuffle", "MaxPool2DWithIndices", "MaxPool3DWithIndices"),
    *("AdaptiveMaxPool2D", "AdaptiveMaxPool3D"),
    *(f"{kind}Pad{n}D" for kind in ("Reflection", "Replication") for n in (1, 2, 3)),
)
# Copies along the positions: each dimension stays, longer.
_COPIES = ("IndexSelect", *(f"UpsampleNearest{exact}{n}D" for exact in ("", "Exact") for n in (1, 2, 3)))

STEPS: dict[str, Callable[[Node, Walk], bool]] = {
    "AliasBackward0": _same,
    "CloneBackward0": _same,
    "ToCopyBackward0": _same,
    "TransposeBackward0": _transpose,
    "TBackward0": _t,
    "PermuteBackward0": _permute,
    "UnsqueezeBackward0": _unsqueeze,
    "SqueezeBackward0": _squeeze,
    "SqueezeBackward1": _squeeze,
    "SqueezeBackward2": _squeeze,
    "ViewBackward0": _view,
    "UnsafeViewBackward0": _view,
    "ReshapeAliasBackward0": _view,
    "SliceBackward0": _slice,
    "SplitBackward0": _pick,
    "SplitWithSizesBackward0": _pick,
    "SelectBackward0": _select,
    "ExpandBackward0": _expand,
    "RepeatBackward0": _repeat,
    "FlipBackward0": _same,
    "RollBackward0": _roll,
    "PowBackward0": _power,
    **{f"{name}Backward{i}": _scatter_pick for name in _PICKS for i in (0, 1)},
    **{f"{name}Backward0": _pick for name in _COPIES},
}
