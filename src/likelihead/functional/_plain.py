"""The short way of the most common calls, without options: as little as possible between them and the kernel.

Each function answers None where it does not know the call for one of its own; the general way then serves or
refuses it. What it serves has the general way's values, gradients and checks.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch._C import _get_tracing_state as tracing
from torch.compiler import is_compiling
from torch.nn import Parameter
from torch.overrides import has_torch_function_unary as is_overridden

from likelihead.functional._class_index import blame_target
from likelihead.guard.check import nothing_to_check
from likelihead.kernels import dispatch

__all__ = ["plain_bce_with_logits", "plain_cross_entropy"]

_INDEX = torch.int64
_WIDE = (torch.float32, torch.float64)
_REDUCED = ("mean", "sum")


def plain_cross_entropy(
    input: Tensor, target: Tensor, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor | None:
    """Cross-entropy without options, reduced, of logits against int64 classes; or None."""
    if (
        is_compiling()
        or tracing() is not None  # what is recorded has to serve other sizes
        or type(target) is not Tensor
        or not (type(input) is Tensor or type(input) is Parameter)
        or is_overridden(input)  # by a mode
        or not ((input.is_cpu and target.is_cpu) or (input.is_cuda and input.device == target.device))
        or input.dtype not in _WIDE
        or target.dtype is not _INDEX
        or type(ignore_index) is not int
        or ignore_index >= 0  # inside the range: for the guard to look at
        or reduction not in _REDUCED
        or not nothing_to_check("cross_entropy", input)
    ):
        return None
    op = dispatch.plain("softmax_plain", input.is_cpu)
    if op is None:
        return None
    # The op looks at sizes and strides; of sparse and nested tensors the dispatcher knows that it has none.
    try:
        return op(input, target, ignore_index, reduction == "mean")
    except NotImplementedError:
        return None
    except RuntimeError as error:
        blame_target(error, target, input.shape[1], ignore_index)
        raise


def plain_bce_with_logits(
    input: Tensor, target: Tensor, reduction: str = "mean", pos_weight: Tensor | None = None
) -> Tensor | None:
    """Binary cross-entropy with no other weights, reduced, of logits and labels of one dtype; or None."""
    if (
        is_compiling()
        or tracing() is not None
        or type(target) is not Tensor
        or not (type(input) is Tensor or type(input) is Parameter)
        or is_overridden(input)
        or not ((input.is_cpu and target.is_cpu) or (input.is_cuda and input.device == target.device))
        or input.dtype not in _WIDE
        or target.dtype is not input.dtype
        or not (pos_weight is None or _is_fixed(pos_weight))
        or reduction not in _REDUCED
        or not nothing_to_check("bce_with_logits", input)
    ):
        return None
    op = dispatch.plain("sigmoid_plain", input.is_cpu)
    try:
        return None if op is None else op(input, target, reduction == "mean", pos_weight)
    except NotImplementedError:
        return None


def _is_fixed(weight: Tensor) -> bool:
    """Whether it is a plain tensor on the CPU that nobody differentiates."""
    return type(weight) is Tensor and weight.is_cpu and not weight.requires_grad
