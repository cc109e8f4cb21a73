"""The short way for tiny losses: the most common call, with as little as possible between it and the kernel.

Each function answers None where it does not know the call for one of its own; the general way then serves or
refuses it. What it serves has the general way's values, gradients and checks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from likelihead.functional._class_index import blame_target
from likelihead.guard.check import nothing_to_check
from likelihead.kernels import dispatch

__all__ = ["tiny_bce_with_logits", "tiny_cross_entropy"]

_PLAIN = (torch.Tensor, torch.nn.Parameter)
_WIDE = (torch.float32, torch.float64)


def tiny_cross_entropy(input: Tensor, target: Tensor, ignore_index: int, reduction: str) -> Tensor | None:
    """Cross-entropy without options of a few logits against int64 classes, reduced; or None."""
    if not (_is_dense(input) and _is_dense(target) and input.dim() == 2 and target.dim() == 1):
        return None
    examples, classes = input.shape
    if not (0 < examples * classes <= dispatch.MOST_ELEMENTS and target.numel() == examples):
        return None
    if input.dtype not in _WIDE or target.dtype is not torch.int64 or reduction not in ("mean", "sum"):
        return None
    # One class, or ignore_index inside the range, is for the guard to look at.
    if classes == 1 or ignore_index >= 0 or not nothing_to_check("cross_entropy", input):
        return None
    op = dispatch.tiny("softmax_tiny")
    if op is None:
        return None
    try:
        return op(input, target, ignore_index, reduction == "mean")
    except (IndexError, RuntimeError) as error:
        blame_target(error, target, classes, ignore_index)
        raise


def tiny_bce_with_logits(input: Tensor, target: Tensor, reduction: str) -> Tensor | None:
    """Binary cross-entropy without weights of a few logits and labels of one dtype, reduced; or None."""
    if not (_is_dense(input) and _is_dense(target)):
        return None
    shape = input.shape
    if not (0 < shape.numel() <= dispatch.MOST_ELEMENTS and target.shape == shape):
        return None
    if reduction not in ("mean", "sum") or target.dtype is not input.dtype or input.dtype not in _WIDE:
        return None
    if not nothing_to_check("bce_with_logits", input):
        return None
    op = dispatch.tiny("sigmoid_tiny")
    return None if op is None else op(input, target, reduction == "mean")


def _is_dense(tensor: Tensor) -> bool:
    """Whether it is a plain tensor in the CPU's memory, one number beside the other, outside every trace."""
    return (
        not torch.compiler.is_compiling()
        and torch._C._get_tracing_state() is None  # what is recorded has to serve other sizes
        and type(tensor) in _PLAIN
        and tensor.is_cpu
        and tensor.layout is torch.strided
        and not tensor.is_nested
        and tensor.is_contiguous()
    )
