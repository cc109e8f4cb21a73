"""Where a tensor came from: a walk back through its ``grad_fn`` to the softmax, sigmoid or layer behind it.

The walk steps through what leaves each number as it is or picks some (`axes`), and through what keeps a
probability a probability (`mixing`); it follows the dimensions as far as they can be followed. Where several
tensors meet, each must have the same origin. Whatever it does not know ends it: the answer is then None, and
the guard stays silent. A custom ``autograd.Function`` is unknown by construction, since its node's name ends
in ``Backward`` without the digit that torch's own nodes have.

Only sizes, dimensions and Python numbers saved in the nodes are read, never a saved tensor: that could unpack
an offloaded one and wait for the device. Of the tensor itself a few numbers are, on the CPU, where the graph
names a probability and does not tell how large a constant was added.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from likelihead.guard.axes import STEPS, Node, Walk, signed
from likelihead.guard.mixing import BENDING, MIXING, Branches

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
        whole: no element was dropped, changed or put beside others on the way.
        share: the sum of the factors of such tensors that make up this one.
        mixed: it is an average of several, or of neighbours.
        guarded: it was clamped, or a constant was added before a logarithm was taken.
        shifted: a constant of unknown size was added, or stands beside it, and the numbers look like
            probabilities all the same.
    """

    kind: Kind
    node: Node
    dim: int | None = None
    whole: bool = True
    share: float = 1.0
    mixed: bool = False
    guarded: bool = False
    shifted: bool = False


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
    if not (name in STEPS or name in MIXING or name in _SOURCES or name == "ReluBackward0"):
        return None  # the ordinary case, before any state is made
    origin = _follow(node, Walk(tuple(tensor.shape), _MAX_STEPS))
    if origin is None or not _is_one(origin.share):
        return None
    return None if origin.shifted and not _looks_like_probabilities(tensor) else origin


_FEW = 16


def _looks_like_probabilities(input: Tensor) -> bool:
    """Whether some of the numbers lie in [0, 1], give or take a small constant.

    The graph does not tell how large a constant was added. In the CPU's memory a few numbers cost nothing; on
    a device that would wait they are left alone, and the input is unknown.
    """
    if not input.is_cpu or torch._C._len_torch_dispatch_stack() > 0:
        return False
    if torch._C._are_functorch_transforms_active() or torch._C._get_tracing_state() is not None:
        return False
    count = input.numel()
    first, spread = range(min(count, _FEW)), range(0, count, max(1, count // _FEW))
    with torch.no_grad():
        some = torch.take(input, torch.tensor([*first, *spread], dtype=torch.int64)).tolist()
    return bool(some) and all(-0.01 <= number <= 1.01 for number in some)


def _is_one(share: float) -> bool:
    return abs(share - 1) < 1e-6


def _follow(node: Node, walk: Walk) -> Origin | None:
    while node is not None and walk.steps > 0:
        name = type(node).__name__
        if walk.factor != 1 and name in BENDING:
            return _bent(node, walk)
        walk.steps -= 1
        kind = _SOURCES.get(name)
        if kind is not None:
            return _arrive(kind, node, walk)
        if name == "ReluBackward0":
            return _rectified(node, walk)
        mixing = MIXING.get(name)
        if mixing is not None:
            if name == "AddBackward0" and is_trained_affine(node):
                return _arrive("layer", node, walk)
            branches = mixing(node, walk)
            if branches is None:
                return None
            if len(branches.inputs) > 1:
                return _join(branches, walk)
            node, factor = branches.inputs[0]
            walk.factor *= factor
            continue
        step = STEPS.get(name)
        if step is None or not step(node, walk):
            return None
        node = node.next_functions[0][0]
    return None


def _bent(node: Node, walk: Walk) -> Origin | None:
    """A clamp or a function of a whole probability, of which a part is taken afterwards."""
    factor, walk.factor = walk.factor, 1.0
    origin = _follow(node, walk)
    if origin is None or not _is_one(origin.share):
        return None
    return replace(origin, share=factor)


def _rectified(node: Node, walk: Walk) -> Origin | None:
    """A ReLU leaves a probability as it is; what it makes of anything else is as good as a layer's output."""
    inside = walk.branch()
    origin = _follow(node.next_functions[0][0], inside)
    walk.steps = inside.steps
    if origin is not None and origin.kind in ("softmax", "sigmoid") and walk.function is None:
        return replace(origin, dim=None, whole=False)
    return _arrive("layer", node, walk)


def _arrive(kind: Kind, node: Node, walk: Walk) -> Origin | None:
    dim = _softmax_dim(node, walk) if kind in ("softmax", "log_softmax") else None
    became = kind if walk.function is None else _AFTER.get((walk.function, kind))
    if became is None:
        return None
    changed = walk.mixed or walk.shifted or (walk.clamped and became != "log_of_softmax")
    if changed and became not in ("softmax", "sigmoid"):
        # A clamped probability or an average of several is one still; of log-probabilities and logits both
        # may be anything.
        return None
    guarded = walk.guarded or walk.clamped
    return Origin(became, node, dim, walk.whole, walk.factor, walk.mixed, guarded, walk.shifted)


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


def _join(branches: Branches, walk: Walk) -> Origin | None:
    """Several tensors that became one have an origin where all of them have the same one."""
    origins: list[Origin] = []
    for source, factor in branches.inputs:
        branch = walk.branch()
        branch.factor *= factor
        origin = _follow(source, branch)
        walk.steps = branch.steps
        if origin is None or origin.kind == "layer" or origin.kind != (origins or [origin])[0].kind:
            return None
        origins.append(origin)
    shares = [origin.share for origin in origins]
    if branches.joined == "choice" and max(shares) - min(shares) > 1e-6 * max(shares):
        return None
    return replace(
        origins[0],
        dim=None,
        whole=False,
        share=sum(shares) if branches.joined == "sum" else shares[0],
        mixed=any(origin.mixed for origin in origins),
        guarded=any(origin.guarded for origin in origins),
        shifted=any(origin.shifted for origin in origins),
    )


_SOURCES: dict[str, Kind] = {
    "SoftmaxBackward0": "softmax",
    "SafeSoftmaxBackward0": "softmax",
    "LogSoftmaxBackward0": "log_softmax",
    "SigmoidBackward0": "sigmoid",
    "LogSigmoidBackward0": "log_sigmoid",
    "AddmmBackward0": "layer",
    "MmBackward0": "layer",
    "LinearBackward0": "layer",
    "ConvolutionBackward0": "layer",
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
