"""What the short ways of losses without options share: see `native.plain` and `triton.plain`."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from likelihead.kernels.fused.calls import first_gradient

__all__ = ["otherwise", "short", "sigmoid_options", "softmax_options"]


def softmax_options(ignore_index: int, mean: bool) -> tuple[Any, ...]:
    """Of ``softmax_loss``, in order, but for whether a gradient is wanted."""
    return (None, 0.0, ignore_index, 0.0, 0.0, None, True, None, 0.0, None, mean, None)


def sigmoid_options(mean: bool) -> tuple[Any, ...]:
    """Of ``sigmoid_loss``, in order, but for whether a gradient is wanted."""
    return (None, None, None, False, True, 0.0, None, 0.0, -1.0, None, mean, None)


def short(function: type[torch.autograd.Function], *kept: str) -> Callable[..., Tensor | None]:
    """What ``apply`` of a function ends in, without what it does for functorch, which never comes here.

    3 microseconds; and half of one without what the engine asks of each function before its backward. Slots
    for what it keeps spare each call a dictionary.
    """
    base: type = function._backward_cls
    own = {"__slots__": kept, "apply": function.backward}
    function._backward_cls = type(base.__name__, (base,), own)
    apply: Callable[..., Tensor | None] = super(torch.autograd.Function, function).apply  # type: ignore[misc]
    return apply


def otherwise(
    ctx: Any,
    upstream: Tensor,
    options: tuple[Any, ...],
    anew: Callable[[Any, Tensor], Tensor],
    *,
    others: int,
) -> Tensor:
    """The gradient as the general way has it, of what that one would have saved: ``others`` more than two."""
    saved = ctx.saved_tensors
    saved = (*saved, *(None,) * (2 + others - len(saved)))
    general = SimpleNamespace(made=ctx.made, in_place=False, options=options, saved_tensors=saved)
    grad = first_gradient(general, upstream)
    return anew(general, upstream) if grad is None else grad
