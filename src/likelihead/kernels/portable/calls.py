"""What the portable ops share: the calls that they serve, the blocks they work in, the upstream gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from likelihead.core.sample_weight import expand_sample_weight
from likelihead.kernels.fused.calls import PLAIN, is_batched, needs_reference
from likelihead.kernels.ops import compute_dtype

__all__ = [
    "Box",
    "Scratch",
    "blocks",
    "first_gradient",
    "is_differentiated",
    "is_finite",
    "looks",
    "most_elements",
    "save",
    "saved",
    "scale_of",
    "served",
    "unserved",
]

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)

Box = tuple[slice, ...]
"""Where a block lies: a slice of each leading dimension."""

_IN_CACHE = 1 << 21
_AT_ONCE = 1 << 24


def unserved(logits: Tensor) -> str | None:
    """Why it is the reference that computes the loss of these logits; None where it is not."""
    if type(logits) not in PLAIN:
        return f"they are a {type(logits).__name__}, no plain tensor"
    if logits.is_meta:
        return "they have no values"
    if logits.dtype not in _DTYPES:
        return f"they are {logits.dtype}"
    if logits.numel() == 0:
        return "there are none"
    return None


def served(
    logits: Tensor, target: Tensor, options: Mapping[str, Any], differentiable: Sequence[Tensor | None]
) -> bool:
    """Whether the call is one of plain tensors, run as it stands and differentiated by the logits alone.

    Every other is computed by the reference: compiling and tracing, where another program fuses the
    operators; the transforms of ``torch.func`` and forward mode; derivatives by the other arguments.
    """
    return (
        unserved(logits) is None
        and all(type(t) in PLAIN for t in (target, *options.values()) if isinstance(t, Tensor))
        and not _is_traced()
        and not needs_reference(target, *differentiable)
    )


def _is_traced() -> bool:
    modes = torch._C._TorchDispatchModeKey
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or any(torch._C._get_dispatch_mode(key) is not None for key in (modes.PROXY, modes.FAKE))
    )


def looks(device: torch.device) -> bool:
    """Whether values may decide what is computed: on a processor there is nothing to wait for."""
    return device.type == "cpu"


def is_finite(values: Tensor) -> bool:
    """Whether all are, by their sum: one pass, without the five of `torch.isfinite`."""
    return math.isfinite(float(values.sum())) or bool(values.isfinite().all())


def most_elements(device: torch.device) -> int:
    """How many logits a block has: what stays in the caches of a processor; elsewhere what bounds scratch."""
    return _IN_CACHE if device.type == "cpu" else _AT_ONCE


def weight_of_each(
    sample_weight: Tensor | None, shape: Sequence[int], logits: Tensor, dtype: torch.dtype
) -> Tensor | None:
    """The weights of the examples as a view of ``shape``, the shape of the values."""
    if sample_weight is None:
        return None
    like = logits.new_empty([0] * len(shape), dtype=dtype)
    return expand_sample_weight(sample_weight, like).expand(shape)


def blocks(shape: Sequence[int], each: int, most: int) -> Iterator[Box]:
    """Cut ``shape``, an entry of which has ``each`` elements, into boxes of ``most`` where that can be.

    >>> list(blocks((5,), 10, 25))
    [(slice(0, 2, None),), (slice(2, 4, None),), (slice(4, 6, None),)]
    >>> len(list(blocks((2, 6), 10, 30)))
    4
    """
    if not shape:
        yield ()
        return
    below = each * math.prod(shape[1:])
    if below <= most or len(shape) == 1:
        step = max(1, most // below)
        for start in range(0, shape[0], step):
            yield (slice(start, start + step),)
        return
    for i in range(shape[0]):
        for rest in blocks(shape[1:], each, most):
            yield (slice(i, i + 1), *rest)


class Scratch:
    """Memory that one block after the other works in, so that it is in the caches and has its pages."""

    def __init__(self, logits: Tensor, dtype: torch.dtype) -> None:
        self._logits, self._dtype, self._buffers = logits, dtype, dict[int, Tensor]()

    def like(self, block: Tensor, which: int = 0) -> Tensor:
        """A buffer of the block's shape, its numbers in the block's order in memory."""
        buffer = self._buffers.get(which)
        if buffer is None or buffer.numel() < block.numel():
            buffer = self._logits.new_empty(block.numel(), dtype=self._dtype)
            self._buffers[which] = buffer
        order = sorted(range(block.dim()), key=block.stride, reverse=True)
        view = buffer[: block.numel()].view([block.shape[d] for d in order])
        return view.permute([order.index(d) for d in range(block.dim())])


def scale_of(
    reduction: str, divisor: float | None, count: Callable[[], Tensor | int], like: Tensor
) -> tuple[Tensor, Tensor | int | None]:
    """The slope of a reduced loss by each value, and the count that its mean divides by, where it does."""
    one = torch.ones((), dtype=compute_dtype(like.dtype), device=like.device)
    if reduction == "sum":
        return one, None
    if divisor is not None:
        return one / divisor, None
    counted = count()
    return (one / counted).to(one.dtype), counted


def within(outer: Box, inner: Box, shape: Sequence[int]) -> Box:
    """Where a box lies that is cut from the block at ``outer``, which has this shape.

    >>> within((slice(4, 8),), (slice(2, 9), slice(0, 3)), (4, 5))
    (slice(6, 8, None), slice(0, 3, None))
    """
    box: list[slice] = []
    for d in range(max(len(outer), len(inner))):
        start = outer[d].start if d < len(outer) else 0
        part = inner[d] if d < len(inner) else slice(0, shape[d])
        box.append(slice(start + part.start, start + min(part.stop, shape[d])))
    return tuple(box)


def is_differentiated(*upstream: Tensor | None) -> bool:
    """Whether a backward is to be differentiated itself, or is of several upstream gradients at once."""
    return (
        torch.is_grad_enabled()
        or torch._C._are_functorch_transforms_active()
        or any(u is not None and (type(u) not in PLAIN or is_batched(u)) for u in upstream)
    )


def first_gradient(ctx: Any, upstream: Tensor) -> Tensor | None:
    """The gradient of the forward pass, scaled, where it is still there and may be scaled."""
    if torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
        return None
    try:
        grad: Tensor = ctx.made.pop()  # atomic: of two concurrent backwards one gets it
    except IndexError:
        return None
    if is_batched(upstream):
        # As of `is_grads_batched`. The gradient of an ignored example stays 0 whatever comes from above.
        return torch.where(grad == 0, 0, grad * upstream).to(grad.dtype) if ctx.in_place else None
    if not looks(upstream.device):
        return grad.mul_(upstream)
    factor = float(upstream)
    if factor == 1:
        return grad
    narrow = grad.dtype in (torch.bfloat16, torch.float16)
    exact = math.isfinite(factor) and abs(math.frexp(factor)[0]) == 0.5
    if narrow and not exact and not ctx.in_place:
        return None  # a second rounding would show
    return grad.mul_(factor) if math.isfinite(factor) else torch.where(grad == 0, 0, grad * factor)


def save(ctx: Any, logits: Tensor, target: Tensor, options: Mapping[str, Any]) -> None:
    """Keep the arguments of a call for its backward, so that autograd knows of its tensors."""
    tensors = {name: value for name, value in options.items() if isinstance(value, Tensor)}
    ctx.save_for_backward(logits, target, *tensors.values())
    ctx.tensors, ctx.options = list(tensors), {k: v for k, v in options.items() if k not in tensors}


def saved(ctx: Any) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """What `save` has kept."""
    logits, target, *tensors = ctx.saved_tensors
    return logits, target, {**ctx.options, **dict(zip(ctx.tensors, tensors, strict=True))}
