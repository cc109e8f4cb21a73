"""Steps of the walk that change the numbers or join several tensors, as far as a probability stays one.

A clamp, a small constant, a factor that is taken back, an average, an interpolation, a choice between two
probabilities or a copy into a buffer leave numbers between 0 and 1. Each function here knows one node and
answers with the inputs to go on with and the factor of each, or None where the walk must end.

Of what a node has saved, only sizes and Python numbers are read: a tensor could be an offloaded one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch

from likelihead.guard.axes import Node, Walk, signed

__all__ = ["BENDING", "MIXING", "Branches"]


class Branches(NamedTuple):
    """Inputs with their factors, and whether the output is their sum or, place by place, one of them."""

    inputs: list[tuple[Node, float]]
    joined: Literal["sum", "choice"] = "choice"


def _inputs(node: Node) -> list[Node]:
    return [source for source, _ in node.next_functions]


def _only(source: Node, factor: float = 1.0) -> Branches:
    return Branches([(source, factor)])


# -- one input ---------------------------------------------------------------------------------------


def _clamp(node: Node, walk: Walk) -> Branches | None:
    lowest, highest = _bound(node, "min"), _bound(node, "max")
    if (lowest is not None and lowest > 1) or (highest is not None and highest < 0):
        return None  # nothing is left of a probability
    return _kept_away(node, walk)


def _bound(node: Node, which: str) -> float | None:
    bound = getattr(node, f"_saved_{which}", None)
    if bound is None:
        bound = getattr(node, f"_saved_{which}_val", None)  # hardtanh
    return None if bound is None else float(bound)


def _kept_away(node: Node, walk: Walk) -> Branches | None:
    walk.clamped = True
    walk.whole = False
    walk.guarded = walk.guarded or walk.function == "log"
    return _only(_inputs(node)[0])


def _clamp_to_tensors(node: Node, walk: Walk) -> Branches | None:
    source, *bounds = _inputs(node)
    if any(bound is not None for bound in bounds) or not walk.stand_beside():
        return None
    walk.clamped = True
    return _only(source)


def _larger_or_smaller(node: Node, walk: Walk) -> Branches | None:
    """Beside a constant tensor it is a clamp."""
    first, second = _inputs(node)
    if first is not None and second is not None:
        return _choice(node, walk)
    if not walk.stand_beside():
        return None
    walk.clamped = True
    return _only(second if first is None else first)


def _exp(node: Node, walk: Walk) -> Branches | None:
    if walk.function is not None:
        return None
    walk.function = "exp"
    return _only(_inputs(node)[0])


def _log(node: Node, walk: Walk) -> Branches | None:
    if walk.function is not None or walk.mixed or walk.shifted:
        return None
    walk.function = "log"
    return _only(_inputs(node)[0])


def _average(node: Node, walk: Walk) -> Branches | None:
    walk.lose_track()
    return _only(_inputs(node)[0]) if walk.mix() else None


def _sum(node: Node, walk: Walk) -> Branches | None:
    sizes = tuple(node._saved_self_sym_sizes)
    dims = [signed(dim, len(sizes)) for dim in node._saved_dim] or range(len(sizes))
    walk.lose_track()
    return _only(_inputs(node)[0], math.prod(sizes[dim] for dim in dims)) if walk.mix() else None


def _average_pool(node: Node, walk: Walk) -> Branches | None:
    return _average(node, walk) if node._saved_divisor_override is None else None


def _interpolate(node: Node, walk: Walk) -> Branches | None:
    walk.sizes = None
    return _only(_inputs(node)[0]) if walk.mix() else None


def _sample(node: Node, walk: Walk) -> Branches | None:
    bicubic = 2  # overshoots
    return None if node._saved_interpolation_mode == bicubic else _average(node, walk)


# -- Python numbers ----------------------------------------------------------------------------------

_NARROW = torch.empty((), dtype=torch.float16)
_NUMBERS = (torch.float64, torch.int64, torch.bool)


def _number(node: Node, name: str) -> float | None:
    """A Python number that the node has saved; None for a tensor, which may be trained or on a device.

    torch wraps the number in a tensor that promotes no dtype, and never hands that to a saved tensor's hooks.
    """
    data = getattr(getattr(node, f"_raw_saved_{name}", None), "data", None)
    if type(data) is not torch.Tensor or data.dim() != 0 or not data.is_cpu or data.dtype not in _NUMBERS:
        return None
    if torch._C._len_torch_dispatch_stack() > 0 or torch.result_type(data, _NARROW) is not torch.float16:
        return None
    return float(data.item())


def _times(node: Node, walk: Walk) -> Branches | None:
    first, second = _inputs(node)
    if (first is None) == (second is None):
        return None
    factor = _number(node, "self" if first is None else "other")
    if factor is None or not 0 < factor < math.inf:
        return None
    return _only(second if first is None else first, factor)


def _divided(node: Node, walk: Walk) -> Branches | None:
    first, second = _inputs(node)
    divisor = None if first is None or second is not None else _number(node, "other")
    return None if divisor is None or not 0 < divisor < math.inf else _only(first, 1 / divisor)


# -- several inputs ----------------------------------------------------------------------------------


def _add(node: Node, walk: Walk) -> Branches | None:
    (first, second), alpha = _inputs(node), float(node._saved_alpha)
    if alpha <= 0:
        return None
    if first is None or second is None:
        kept = _only(second, alpha) if first is None else _only(first)
        return kept if walk.shift() else None
    return Branches([(first, 1.0), (second, alpha)], "sum") if walk.mix() else None


def _subtract(node: Node, walk: Walk) -> Branches | None:
    first, second = _inputs(node)
    return _only(first) if first is not None and second is None and walk.shift() else None


def _lerp(node: Node, walk: Walk) -> Branches | None:
    (start, end), weight = _inputs(node), float(node._saved_weight)
    if not 0 <= weight <= 1 or not walk.mix():
        return None
    return Branches([(start, 1 - weight), (end, weight)], "sum")


def _lerp_by_tensor(node: Node, walk: Walk) -> Branches | None:
    start, end, weight = _inputs(node)
    if weight is not None or not walk.mix() or not walk.stand_beside():
        return None
    return Branches([(start, 1.0), (end, 1.0)])


def _choice(node: Node, walk: Walk) -> Branches:
    return Branches([(source, 1.0) for source in _inputs(node)])


def _copy(node: Node, walk: Walk) -> Branches:
    walk.lose_track()  # the source may have been broadcast
    return _only(_inputs(node)[1])


def _written_into(node: Node, walk: Walk) -> Branches | None:
    base, source = _inputs(node)
    if source is None:
        return None  # a number, or a constant tensor, written over some of it
    if base is None:
        return _only(source) if walk.stand_beside() else None
    return Branches([(base, 1.0), (source, 1.0)])


def _put(node: Node, walk: Walk) -> Branches | None:
    return None if node._saved_accumulate else _written_into(node, walk)


def _changed_in_part(node: Node, walk: Walk) -> Branches | None:
    """An operation in place on a view. It is not told which: a copy, most likely."""
    base, *others = _inputs(node)
    if len(others) != 1 or others[0] is None or not walk.stand_beside():
        return None
    return Branches([(source, 1.0) for source in (base, *others) if source is not None])


MIXING: dict[str, Callable[[Node, Walk], Branches | None]] = {
    "ClampBackward0": _clamp_to_tensors,
    "ClampBackward1": _clamp,
    "ClampMinBackward0": _clamp,
    "ClampMaxBackward0": _clamp,
    "HardtanhBackward0": _clamp,
    "NanToNumBackward0": _kept_away,
    "ExpBackward0": _exp,
    "LogBackward0": _log,
    "MeanBackward1": _average,
    "SumBackward1": _sum,
    "AvgPool2DBackward0": _average_pool,
    "AvgPool3DBackward0": _average_pool,
    "AdaptiveAvgPool2DBackward0": _average,
    "AdaptiveAvgPool3DBackward0": _average,
    "UpsampleLinear1DBackward0": _interpolate,
    "UpsampleBilinear2DBackward0": _interpolate,
    "UpsampleBilinear2DAaBackward0": _interpolate,
    "UpsampleTrilinear3DBackward0": _interpolate,
    "GridSampler2DBackward0": _sample,
    "GridSampler3DBackward0": _sample,
    "TrilBackward0": _average,
    "TriuBackward0": _average,
    "MulBackward0": _times,
    "DivBackward0": _divided,
    "AddBackward0": _add,
    "SubBackward0": _subtract,
    "LerpBackward0": _lerp,
    "LerpBackward1": _lerp_by_tensor,
    "CatBackward0": _choice,
    "StackBackward0": _choice,
    "WhereBackward0": _choice,
    "MaximumBackward0": _larger_or_smaller,
    "MinimumBackward0": _larger_or_smaller,
    "FmaxBackward0": _larger_or_smaller,
    "FminBackward0": _larger_or_smaller,
    "CopyBackwards": _copy,
    "CopySlices": _changed_in_part,
    "IndexPutBackward0": _put,
    **{
        f"{name}Backward0": _written_into
        for name in (
            *("Scatter", "MaskedScatter", "IndexCopy", "SliceScatter", "SelectScatter"),
            *("DiagonalScatter", "AsStridedScatter"),
        )
    },
}
# What must see a whole probability: of half of one it would make something else.
BENDING = frozenset(
    name
    for name, step in MIXING.items()
    if step in (_clamp, _clamp_to_tensors, _kept_away, _larger_or_smaller, _exp, _log)
)
