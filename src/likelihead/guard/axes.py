"""One step of the walk through an autograd graph: from a node's output to its input, dimension by dimension.

Each step knows one node that leaves the numbers as they are, and says which dimension of the input became
which of the output. Where that cannot be told the dimensions are lost, and the walk goes on without them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

__all__ = ["STEPS", "Node", "Walk", "signed"]

_WRAP = 1 << 64  # a negative dimension is saved as an unsigned integer

Node = Any  # torch's node types are made at run time and have no stubs


class Walk:
    """The state of a walk: which dimension of the traced tensor each dimension of the current one became."""

    def __init__(self, sizes: tuple[int, ...] | None, steps: int) -> None:
        self.sizes = sizes
        self.axes: list[int | None] | None = None if sizes is None else list(range(len(sizes)))
        self.whole = True
        self.clamped = False
        self.function: Literal["exp", "log"] | None = None  # applied after the node that is looked for
        self.steps = steps

    def lose_track(self) -> None:
        self.axes = self.sizes = None


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
        walk.axes = _regrouped(walk.sizes, walk.axes, sizes)
    else:
        walk.axes = None
    walk.sizes = sizes
    return True


def _regrouped(
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


def _clamp(node: Node, walk: Walk) -> bool:
    walk.clamped = True
    walk.whole = False
    return True


def _exp(node: Node, walk: Walk) -> bool:
    return _apply(walk, "exp")


def _log(node: Node, walk: Walk) -> bool:
    return _apply(walk, "log")


def _apply(walk: Walk, function: Literal["exp", "log"]) -> bool:
    if walk.function is not None:
        return False
    walk.function = function
    return True


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
    "IndexSelectBackward0": _pick,
    "SelectBackward0": _select,
    "UnbindBackward0": _scatter_pick,
    "IndexBackward0": _scatter_pick,
    "ExpandBackward0": _expand,
    "ClampBackward1": _clamp,
    "ClampMinBackward0": _clamp,
    "ClampMaxBackward0": _clamp,
    "ExpBackward0": _exp,
    "LogBackward0": _log,
}
