"""What the drop-in functions share: torch's reduction arguments, result dtype, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import torch
from torch import Tensor
from torch.amp.autocast_mode import is_autocast_available
from torch.nn import _reduction
from torch.overrides import handle_torch_function, has_torch_function, has_torch_function_variadic

from likelihead.errors import OptionError
from likelihead.guard.check import LossName, explain_shape

__all__ = [
    "broadcasts_to",
    "in_dtype",
    "is_class_index",
    "is_real",
    "is_tensor",
    "legacy_reduction",
    "overridable",
    "promoted",
    "result_dtype",
    "torchs_answer",
    "wants_gradient",
]

P = ParamSpec("P")

# Asked once: the compiler of older torch versions cannot trace the question.
_AUTOCAST = frozenset(
    device for device in ("cpu", "cuda", "mps", "xpu", "hpu", "mtia", "xla") if is_autocast_available(device)
)

_INDEX_DTYPES = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def overridable(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Let tensor subclasses override the function through ``__torch_function__``, as they can torch's own."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        if has_torch_function_variadic(*args, *kwargs.values()):
            # Not tensors alone: a symbolic trace (torch.fx) hands in proxies, and records this function.
            relevant = [v for v in (*args, *kwargs.values()) if hasattr(type(v), "__torch_function__")]
            if has_torch_function(relevant):
                result: Tensor = handle_torch_function(wrapper, relevant, *args, **kwargs)
                return result
        return function(*args, **kwargs)

    return wrapper


def legacy_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that torch's deprecated ``size_average`` and ``reduce`` ask for."""
    if size_average is None and reduce is None:
        return reduction
    return _reduction.legacy_get_string(size_average, reduce)


def is_real(tensor: object) -> bool:
    """Whether it is a tensor of real floating-point numbers."""
    return isinstance(tensor, Tensor) and tensor.is_floating_point()


def is_tensor(value: object) -> bool:
    """Whether it is a tensor at all; torch refuses lists, arrays and None in its own words."""
    return isinstance(value, Tensor)


def is_class_index(tensor: Tensor) -> bool:
    """Whether its dtype can hold class indices; torch takes int64 and uint8 only."""
    return tensor.dtype in _INDEX_DTYPES


def in_dtype(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """``tensor.to(dtype)``, at no cost where that is its dtype."""
    return tensor if tensor.dtype is dtype else tensor.to(dtype)


def result_dtype(tensor: Tensor, *, one_op: bool = True) -> torch.dtype:
    """The dtype of torch's result: the tensor's, or float32 where autocast runs the loss in float32.

    Args:
        tensor: the argument that sets the dtype.
        one_op: whether torch's loss is a single operation, which autocast knows by name. The arithmetic that
            the others are made of runs in float32 on an accelerator, but in the dtype it finds on the CPU.
    """
    if tensor.dtype is torch.float32:  # whatever autocast does
        return torch.float32
    device = tensor.device.type
    casts = device in _AUTOCAST and (one_op or device != "cpu") and torch.is_autocast_enabled(device)
    return torch.float32 if casts and tensor.dtype != torch.float64 else tensor.dtype


def promoted(dtype: torch.dtype, *others: Tensor | None) -> torch.dtype:
    """The widest of ``dtype`` and the dtypes of the tensors that are given, by torch's promotion."""
    for other in others:
        if other is not None and other.dtype is not dtype:
            dtype = torch.promote_types(dtype, other.dtype)
    return dtype


def wants_gradient(weight: Tensor | None) -> bool:
    """Whether autograd would ask for a derivative that torch's losses refuse to have."""
    return weight is not None and weight.requires_grad and torch.is_grad_enabled()


def broadcasts_to(tensor: object, like: Tensor) -> bool:
    """Whether it is None, or a tensor that broadcasts to the shape of ``like`` without enlarging it."""
    if tensor is None:
        return True
    if not (isinstance(tensor, Tensor) and not tensor.is_complex() and tensor.dim() <= like.dim()):
        return False
    return all(a in (1, b) for a, b in zip(reversed(tensor.shape), reversed(like.shape), strict=False))


def torchs_answer(
    function: Callable[..., Tensor],
    loss: LossName,
    input: Any,
    target: Any,
    *,
    weight: Any = None,
    pos_weight: Any = None,
    ours: dict[str, Any] | None = None,
    **options: Any,
) -> Tensor:
    """Hand a call that no kernel takes to torch's own function: nearly always to raise its error.

    The exception keeps torch's type and sentence; where the guard can say in words what does not fit, its
    explanation and remedy follow. ``ours`` are the arguments that torch does not have: where torch does take
    the call and one of them is set, the call is refused, since torch would ignore it.
    """
    if weight is not None:
        options["weight"] = weight
    if pos_weight is not None:
        options["pos_weight"] = pos_weight
    try:
        result = function(input, target, **options)
    except (ValueError, RuntimeError, IndexError, TypeError) as error:
        # Nested tensors have no sizes that could be told.
        tensors = all(isinstance(t, Tensor) and not t.is_nested for t in (input, target))
        finding = (
            explain_shape(loss, input, target, weight=weight, pos_weight=pos_weight) if tensors else None
        )
        if finding is None:
            raise
        code = "" if finding.code is None else f" [{finding.code}: `likelihead explain {finding.code}`]"
        raise type(error)(f"{error}\n{finding.message}{code}") from None
    unknown_to_torch = [name for name, value in (ours or {}).items() if value is not None and value != 0]
    if unknown_to_torch:
        raise OptionError(
            f"{', '.join(unknown_to_torch)} cannot be used with an input of shape {list(input.shape)} and "
            f"dtype {input.dtype}; leave it out, or give floating-point logits with at least one class."
        )
    return result
