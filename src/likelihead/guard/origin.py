"""Where a tensor came from: a walk back through its ``grad_fn`` to the softmax, sigmoid or layer behind it.

The walk steps through what leaves each number as it is (views, casts, indexing, reshapes, permutations,
copies) and follows the dimensions as far as they can be followed. Whatever it does not know ends it: the
answer is then None, and the guard stays silent. A custom ``autograd.Function`` is unknown by construction,
since its node's name ends in ``Backward`` without the digit that torch's own nodes have.

Only integers saved in the nodes are read (sizes and dimensions), never a saved tensor: that could unpack an
offloaded one and wait for the device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from likelihead.guard.axes import STEPS, Node, Walk, signed

__all__ = ["Kind", "Origin", "is_trained_affine", "trace"]

Kind = Literal["softmax", "log_softmax", "sigmoid", "log_sigmoid", "log_of_softmax", "layer"]

_MAX_STEPS = 64  # nodes visited for one tensor; a longer way is an unknown one


@dataclass(frozen=True)
class Origin:
    """What made a tensor.

    Attributes:
        kind: ``"layer"`` is a candidate only: see `is_trained_affine`.
        node: the autograd node of the softmax, sigmoid or layer.
        dim: the dimension of the traced tensor that the softmax ran over; None where that is not known.
        whole: no element was dropped, clamped or put beside others on the way.
    """

    kind: Kind
    node: Node
    dim: int | None = None
    whole: bool = True


def trace(tensor: Tensor) -> Origin | None:
    """What made this tensor, or None where that is not certain.

    >>> import torch
    >>> logits = torch.zeros(2, 3, requires_grad=True)
    >>> origin = trace(logits.softmax(dim=-1).reshape(2, 3).double())
    >>> origin.kind, origin.dim
    ('softmax', 1)
    >>> trace(logits * 2) is None
    True
    """
    node = tensor.grad_fn
    if node is None:
        return None
    name = type(node).__name__
    if name not in STEPS and name not in _SOURCES and name not in _JOINS:
        return None  # the ordinary case, before any state is made
    return _follow(node, Walk(tuple(tensor.shape), _MAX_STEPS))


def _follow(node: Node, walk: Walk) -> Origin | None:
    while node is not None and walk.steps > 0:
        walk.steps -= 1
        name = type(node).__name__
        kind = _SOURCES.get(name)
        if kind is not None:
            return _arrive(kind, node, walk)
        if name in _JOINS:
            return _join(node, walk)
        step = STEPS.get(name)
        if step is None or not step(node, walk):
            return None
        node = node.next_functions[0][0]
    return None


def _arrive(kind: Kind, node: Node, walk: Walk) -> Origin | None:
    dim = _softmax_dim(node, walk) if kind in ("softmax", "log_softmax") else None
    if walk.function is None:
        if walk.clamped and kind not in ("softmax", "sigmoid"):
            return (
                None  # a clamped probability is one still; a clamped log-probability or logit may be anything
            )
        return Origin(kind, node, dim, walk.whole)
    became: Kind | None = _AFTER.get((walk.function, kind))
    return None if became is None else Origin(became, node, dim, walk.whole)


_AFTER: dict[tuple[str, str], Kind] = {
    ("exp", "log_softmax"): "softmax",
    ("exp", "log_sigmoid"): "sigmoid",
    ("log", "softmax"): "log_of_softmax",
}


def _softmax_dim(node: Node, walk: Walk) -> int | None:
    dim = getattr(node, "_saved_dim", None)
    if walk.axes is None or not isinstance(dim, int):
        return None
    dim = signed(dim, len(walk.axes))
    return walk.axes[dim] if 0 <= dim < len(walk.axes) else None


def _join(node: Node, walk: Walk) -> Origin | None:
    """A concatenation has an origin where all of its pieces have the same one."""
    first: Origin | None = None
    for piece, _ in node.next_functions:
        branch = Walk(None, walk.steps)
        branch.clamped, branch.function = walk.clamped, walk.function
        origin = _follow(piece, branch)
        walk.steps = branch.steps
        if origin is None or origin.kind == "layer" or (first is not None and origin.kind != first.kind):
            return None
        first = first or origin
    return None if first is None else replace(first, dim=None, whole=False)


_JOINS = frozenset({"CatBackward0", "StackBackward0"})
_SOURCES: dict[str, Kind] = {
    "SoftmaxBackward0": "softmax",
    "SafeSoftmaxBackward0": "softmax",
    "LogSoftmaxBackward0": "log_softmax",
    "SigmoidBackward0": "sigmoid",
    "LogSigmoidBackward0": "log_sigmoid",
    "AddmmBackward0": "layer",
    "MmBackward0": "layer",
    "AddBackward0": "layer",
    "LinearBackward0": "layer",
    "ConvolutionBackward0": "layer",
    "ReluBackward0": "layer",
}

# -- the layers whose output cannot be log-probabilities ---------------------------------------------

# Where the weight stands among the inputs of the node.
_WEIGHT = {"AddmmBackward0": 2, "MmBackward0": 1, "LinearBackward0": 1, "ConvolutionBackward0": 1}
_WEIGHT_STEPS = frozenset({"TBackward0", "TransposeBackward0", "PermuteBackward0", "ToCopyBackward0"})


def is_trained_affine(node: Node) -> bool:
    """Whether this node is a linear or convolution layer with a free weight, or a ReLU.

    A matrix product may well yield log-probabilities (a hierarchical softmax adds those of a path with a
    fixed matrix), so the weight must be a leaf that is trained: nothing keeps the sum of such outputs'
    exponentials at one. A ReLU puts out no negative number, and a log-probability is never positive.
    """
    name = type(node).__name__
    if name == "ReluBackward0":
        return True
    inputs = node.next_functions
    if name == "AddBackward0":  # x @ weight + bias
        return len(inputs) == 2 and any(
            type(product).__name__ == "MmBackward0" and is_trained_affine(product) and _is_leaf(bias)
            for (product, _), (bias, _) in (inputs, inputs[::-1])
        )
    position = _WEIGHT.get(name)
    if position is None or position >= len(inputs):
        return False
    weight = inputs[position][0]
    for _ in range(3):
        if type(weight).__name__ not in _WEIGHT_STEPS:
            break
        weight = weight.next_functions[0][0]
    return _is_leaf(weight)


def _is_leaf(node: Node) -> bool:
    return type(node).__name__ == "AccumulateGrad"
