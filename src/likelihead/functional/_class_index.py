"""Class-index targets: do they fit the classes, and whose fault is an index that does not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from likelihead.functional._call import is_real, result_dtype, wants_gradient

__all__ = ["blame_target", "fits_classes"]


def fits_classes(input: Tensor, target: Tensor, weight: Any) -> bool:
    """Whether index targets and class weights have the shapes that go with the input's."""
    shape, given = input.shape, target.shape
    if len(shape) == 1:
        num_classes, fits = shape[0], len(given) == 0
    else:
        num_classes = shape[1]
        fits = len(given) == len(shape) - 1 and given[0] == shape[0] and given[1:] == shape[2:]
    if not fits or (num_classes == 0 and target.numel() > 0):
        return False
    if target.device != input.device:
        return False
    if weight is None:
        return True
    # torch insists on the input's dtype, once autocast has cast both, and has no derivative for the weights
    # of index targets.
    fits = is_real(weight) and tuple(weight.shape) == (num_classes,)
    return fits and result_dtype(weight) == result_dtype(input) and not wants_gradient(weight)


def blame_target(error: Exception, target: Tensor, num_classes: int, ignore_index: int) -> None:
    """Raise torch's IndexError if an index of ``target`` is what made a kernel stop with ``error``.

    Looking at the values costs a pass, so it is done only here, after the fact. A tensor without values
    (fake, batched by vmap) tells nothing, and the caller's own error goes on.
    """
    if target.is_floating_point() or torch.compiler.is_compiling():
        return
    classes = target.detach().long()
    try:
        outside = ((classes < 0) | (classes >= num_classes)) & (classes != ignore_index)
        positions = outside.nonzero().tolist()
    except (RuntimeError, NotImplementedError):
        return
    if not positions:
        return
    first = positions[0]
    value = int(classes[tuple(first)])
    where = f"target[{', '.join(map(str, first))}]" if first else "target"
    raise IndexError(
        f"Target {value} is out of bounds.\n{where} is {value}, but the input has {num_classes} classes; "
        f"expected 0 to {num_classes - 1}, or ignore_index ({ignore_index}). "
        "[LH203: `likelihead explain LH203`]"
    ) from error
