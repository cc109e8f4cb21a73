"""What the drop-in functions share: torch's reduction arguments, result dtype, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec

import torch
from torch import Tensor
from torch.amp.autocast_mode import is_autocast_available
from torch.nn import _reduction
from torch.overrides import handle_torch_function, has_torch_function, has_torch_function_variadic

from likelihead.core.options import (
    as_index,
    as_number,
    check_flag,
    check_real_number,
    check_tensor_option,
    shown,
)
from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.guard.check import LossName, explain_shape

__all__ = [
    "AUTOCAST",
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
AUTOCAST = frozenset(
    device for device in ("cpu", "cuda", "mps", "xpu", "hpu", "mtia", "xla") if is_autocast_available(device)
)

_NARROW_INDEX = (torch.int32, torch.int16, torch.int8)
_INDEX_DTYPES = (torch.int64, torch.uint8, *_NARROW_INDEX)  # torch takes the first two


def overridable(
    function: Callable[P, Tensor], *, short: Callable[..., Tensor | None] | None = None
) -> Callable[P, Tensor]:
    """Make a public loss of a function.

    Tensor subclasses may override it through ``__torch_function__``, as they can torch's own; and an option
    of the wrong type is refused by its name, before anything is computed.

    Args:
        function: the loss.
        short: serves calls of two tensors and of the options that it names, or answers None: it sees to what
            is said above by itself.
    """
    parameters = signature(function).parameters
    name, names = function.__name__, tuple(parameters)
    optional = {option for option, parameter in parameters.items() if parameter.default is None}
    is_drop_in = hasattr(torch.nn.functional, name)
    short_options = frozenset(() if short is None else tuple(signature(short).parameters)[2:])

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        if short is not None and len(args) == 2 and (not kwargs or kwargs.keys() <= short_options):
            loss = short(*args, **kwargs)
            if loss is not None:
                return loss
        if has_torch_function_variadic(*args, *kwargs.values()):
            # Not tensors alone: a symbolic trace (torch.fx) hands in proxies, and records this function.
            relevant = [v for v in (*args, *kwargs.values()) if hasattr(type(v), "__torch_function__")]
            if has_torch_function(relevant):
                result: Tensor = handle_torch_function(wrapper, relevant, *args, **kwargs)
                return result
        for option in kwargs:
            if option in _OPTIONS and not (kwargs[option] is None and option in optional):
                kwargs[option] = _option(name, is_drop_in, option, kwargs[option])
        if len(args) > 2:
            options = zip(names[2:], args[2:], strict=False)
            rest = (_option(name, is_drop_in, option, value) for option, value in options)
            args = (*args[:2], *rest, *args[len(names) :])  # type: ignore[assignment]
        try:
            return function(*args, **kwargs)
        except Exception as error:
            _blame_nested(error, dict(zip(names, args, strict=False)) | kwargs)
            raise

    return wrapper


def _blame_nested(error: Exception, given: dict[str, Any]) -> None:
    """Raise in words if one of the tensors is nested: torch's own errors speak of its internals."""
    for name, value in given.items():
        if isinstance(value, Tensor) and value.is_nested:
            raise ShapeError(
                f"{name} is a nested tensor; expected dense ones: torch.cat({name}.unbind()) has the rows of "
                "all examples."
            ) from error


# What is not here is checked where it is used, or by torch.
_OPTIONS = frozenset(
    {
        "ignore_index",
        "label_smoothing",
        "z_loss",
        "softcap",
        "logit_offset",
        "inplace_backward",
        "shift",
        "weight",
    }
)


def _option(function: str, is_drop_in: bool, name: str, value: Any) -> Any:
    """An option as the kernels take it.

    Raises:
        TypeError: the type is none that torch takes.
        DTypeError: the same for an option, or a function, that torch does not have.
    """
    if name not in _OPTIONS:
        return value
    if name in ("z_loss", "softcap"):
        if value is not None or name == "z_loss":
            check_real_number(name, value, expected="a number" + ("" if name == "z_loss" else ", or None"))
    elif name in ("inplace_backward", "shift"):
        check_flag(name, value)
    elif name == "logit_offset" or (name == "weight" and not is_drop_in):
        check_tensor_option(name, value)
    elif name != "weight":
        number = as_index(value) if name == "ignore_index" else as_number(value)
        if number is None:
            wanted = "int" if name == "ignore_index" else "float"
            if is_drop_in:
                raise TypeError(
                    f"{function}(): argument '{name}' must be {wanted}, not {type(value).__name__}"
                )
            raise DTypeError(f"{name} is {shown(value)}; expected {wanted}.")
        return number
    return value


def legacy_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that torch's deprecated ``size_average`` and ``reduce`` ask for."""
    if size_average is None and reduce is None:
        return reduction
    return _reduction.legacy_get_string(size_average, reduce)


def is_real(tensor: object) -> bool:
    """Whether it is a tensor of real floating-point numbers; a nested one has no shape to go by."""
    return isinstance(tensor, Tensor) and tensor.is_floating_point() and not tensor.is_nested


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
    casts = device in AUTOCAST and (one_op or device != "cpu") and torch.is_autocast_enabled(device)
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
    # What torch would say of a narrow dtype is not so here, and hides what does not fit.
    narrow = loss in ("cross_entropy", "nll") and is_tensor(target) and target.dtype in _NARROW_INDEX
    try:
        result = function(input, target.long() if narrow else target, **options)
    except (ValueError, RuntimeError, IndexError, TypeError) as error:
        given = (input, target, *(value for value in (weight, pos_weight) if value is not None))
        tensors = all(isinstance(t, Tensor) for t in given)
        if not tensors or any(t.is_nested for t in given):  # nested ones have no sizes that could be told
            raise
        finding = explain_shape(loss, input, target, weight=weight, pos_weight=pos_weight)
        if finding is None:
            raise
        code = "" if finding.code is None else f" [{finding.code}: `likelihead explain {finding.code}`]"
        raise type(error)(f"{error}\n{finding.message}{code}") from None
    unknown_to_torch = [name for name, value in (ours or {}).items() if _is_set(value)]
    if unknown_to_torch:
        smoothing = options.get("label_smoothing", 0)
        if not 0 <= smoothing <= 1:
            raise OptionError(f"label_smoothing is {smoothing}; expected a share in [0, 1].")
        raise OptionError(
            f"{', '.join(unknown_to_torch)} cannot be used with an input of shape {list(input.shape)} and "
            f"dtype {input.dtype}; leave it out, or give floating-point logits with at least one class."
        )
    return result


def _is_set(value: Any) -> bool:
    return value is not None and not (isinstance(value, (int, float)) and value == 0)
