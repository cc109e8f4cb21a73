"""How a drop-in is held against torch: values and gradients, with torch in float64 as the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map

# Relative and absolute tolerance by dtype, as torch.testing has them.
TOLERANCE = {
    torch.float64: (1e-7, 1e-7),
    torch.float32: (1.3e-6, 1e-5),
    torch.float16: (1e-3, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-5),
}


def check_call(ours: Callable[..., Tensor], torchs: Callable[..., Tensor], args: Any, kwargs: Any) -> None:
    """Assert that both give the same value, dtype, shape and gradients.

    An element may be off by the dtype's tolerance, or by twice torch's own worst error in that dtype.
    """
    mine, mine_grads = _value_and_gradients(ours, _fresh((args, kwargs)))
    theirs, their_grads = _value_and_gradients(torchs, _fresh((args, kwargs)))
    truth, true_grads = _value_and_gradients(torchs, _wide((args, kwargs)))
    assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
    _check_close(mine, theirs, truth)
    for g, h, exact in zip(mine_grads, their_grads, true_grads, strict=True):
        assert (g is None) == (h is None)
        if g is not None:
            assert (g.dtype, g.shape) == (h.dtype, h.shape)
            _check_close(g, h, exact)


def _check_close(mine: Tensor, theirs: Tensor, truth: Tensor) -> None:
    rtol, atol = TOLERANCE[mine.dtype]
    a, b, exact = mine.detach().double(), theirs.detach().double(), truth.detach().double()
    special = (a.isnan() & b.isnan()) | (a.isinf() & ((a == b) | (a == exact)))
    error, torchs_error = (a - exact).abs(), (b - exact).abs().nan_to_num(0, 0, 0)
    yardstick = 2 * torchs_error.amax() if exact.numel() else exact
    wrong = ~(special | (error <= torch.maximum(atol + rtol * exact.abs(), yardstick)))
    assert not wrong.any(), f"{int(wrong.sum())} wrong: {mine[wrong][:3]}, torch {theirs[wrong][:3]}"


def _value_and_gradients(
    function: Callable[..., Tensor], call: tuple[Any, Any]
) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    args, kwargs = call
    value = function(*args, **kwargs)
    leaves = [t for t in _tensors(call) if t.requires_grad]
    if not leaves or not value.requires_grad:
        return value, ()
    # Not all ones: a gradient that ignores its upstream must show. Exact in every dtype.
    upstream = (torch.arange(value.numel(), dtype=torch.float64) % 5 - 1.5).reshape(value.shape)
    return value, torch.autograd.grad(value, leaves, upstream.to(value.dtype), allow_unused=True)


def _tensors(tree: Any) -> Iterator[Tensor]:
    return (t for t in tree_flatten(tree)[0] if isinstance(t, Tensor) and t.is_floating_point())


def _copy(tree: Any, dtype: torch.dtype | None) -> Any:
    def one(value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        return value.detach().to(dtype or value.dtype, copy=True).requires_grad_(value.requires_grad)

    return tree_map(one, tree)


def _fresh(tree: Any) -> Any:
    return _copy(tree, None)


def _wide(tree: Any) -> Any:
    return _copy(tree, torch.float64)
