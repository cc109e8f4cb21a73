"""What stands for the logits of a linear head until their loss is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.amp.autocast_mode import is_autocast_available

from likelihead.core.options import as_number, shown
from likelihead.errors import BackendError
from likelihead.functional import linear_cross_entropy

__all__ = ["UnmadeLogits"]


@dataclass(frozen=True, eq=False)
class UnmadeLogits:
    """``times / over * (hidden @ weight.T + bias)``, perhaps under a cap, for which no memory is taken.

    A model's forward handles it as it would the tensor. Positions, a scale and a cap are followed, the
    cross-entropy is `linear_cross_entropy`'s, and all else is refused by its name.

    Args:
        hidden: ``[..., D]``.
        weight: ``[V, D]``.
        bias: ``[V]``, or None.
        dtype: what the logits' would be by now: that of their loss.
        chunk_tokens: as in `linear_cross_entropy`.
        compact: as in `linear_cross_entropy`.
        times: the product of all factors, before a hyperbolic tangent and behind it.
        over: the product of all divisors; apart, so that dividing by a number and multiplying by it is exact.
        cap: what the tangent was multiplied by, ``cap * tanh(times / over * z / cap)``; None without one.
    """

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None
    dtype: torch.dtype
    chunk_tokens: int | None = None
    compact: bool | None = None
    times: float = 1.0
    over: float = 1.0
    cap: float | None = None

    @property
    def shape(self) -> torch.Size:
        return torch.Size((*self.hidden.shape[:-1], self.weight.shape[0]))

    @property
    def ndim(self) -> int:
        return self.hidden.dim()

    @property
    def device(self) -> torch.device:
        return self.hidden.device

    def dim(self) -> int:
        return self.hidden.dim()

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def contiguous(self) -> UnmadeLogits:
        return self

    def float(self) -> UnmadeLogits:
        return self.to(torch.float32)

    def to(self, to: Any = None, *, dtype: Any = None, device: Any = None) -> UnmadeLogits:
        given = [each for each in (to, dtype, device) if each is not None]
        to = given[0] if len(given) == 1 else given
        # What is not made has nothing to round: with float32 for float64, that is the loss alone.
        if isinstance(to, torch.dtype) and to in (self.dtype, torch.float32, torch.float64):
            return replace(self, dtype=to)
        if isinstance(to, (str, torch.device)) and torch.device(to) == self.device:
            return self
        _refuse(f"to({to})")

    def view(self, *shape: Any) -> UnmadeLogits:
        sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        if len(sizes) < 2 or sizes[-1] != self.weight.shape[0]:
            _refuse(f"view{sizes} of shape {list(self.shape)}")
        return replace(self, hidden=self.hidden.reshape(*sizes[:-1], self.hidden.shape[-1]))

    reshape = view

    def __getitem__(self, index: Any) -> UnmadeLogits:
        """Positions with all their classes: ``logits[..., :-1, :]``, ``logits[mask]``."""
        steps = index if isinstance(index, tuple) else (index,)
        known = all(isinstance(step, (int, slice, Tensor)) or step is Ellipsis for step in steps)
        last = steps[-1] if steps else Ellipsis
        whole = last is Ellipsis or (isinstance(last, slice) and last == slice(None))
        if not whole:
            taken = sum(step.dim() if _is_mask(step) else 1 for step in steps)
            whole = taken < self.dim() and not any(step is Ellipsis for step in steps)
        if not (known and whole):
            _refuse(f"[{index}]")
        return replace(self, hidden=self.hidden[index])

    def __mul__(self, factor: Any) -> UnmadeLogits:
        factor = _number("*", factor)
        cap = None if self.cap is None else self.cap * factor
        return replace(self, times=self.times * factor, cap=cap)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> UnmadeLogits:
        divisor = _number("/", divisor)
        cap = None if self.cap is None else self.cap / divisor
        return replace(self, over=self.over * divisor, cap=cap)

    def tanh(self) -> UnmadeLogits:
        if self.cap is not None:
            _refuse("a second tanh()")
        return replace(self, cap=1.0)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        args = args or (given.pop("input", None),)
        if func not in _FUNCTIONS or not isinstance(args[0], UnmadeLogits):
            _refuse(getattr(func, "__name__", str(func)))
        return _FUNCTIONS[func](*args, **given)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # a protocol that is probed for
            raise AttributeError(name)
        _refuse(name)


def _cross_entropy(
    logits: UnmadeLogits,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """`torch.nn.functional.cross_entropy` of ``[N, V]`` logits."""
    if size_average is not None or reduce is not None:
        _refuse("cross_entropy(size_average=, reduce=)")
    if logits.dim() != 2:
        _refuse(f"cross_entropy, with the classes along dimension 1, of shape {list(logits.shape)}")
    device = logits.hidden.device.type
    casts = is_autocast_available(device) and torch.is_autocast_enabled(device)
    # Products in the dtype that the tensors have, and a loss in float32.
    half = not casts and logits.hidden.dtype in (torch.bfloat16, torch.float16)
    with torch.autocast(device, dtype=logits.hidden.dtype if half else None, enabled=half or casts):
        loss = linear_cross_entropy(
            logits.hidden,
            logits.weight,
            target,
            linear_bias=logits.bias,
            weight=weight,
            reduction=reduction,
            ignore_index=None if target.is_floating_point() else ignore_index,
            label_smoothing=label_smoothing,
            softcap=logits.cap,
            logit_scale=logits.times / logits.over,
            chunk_tokens=logits.chunk_tokens,
            compact=logits.compact,
        )
    return loss if casts else loss.to(logits.dtype)


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    torch.tanh: UnmadeLogits.tanh,
    torch.nn.functional.tanh: UnmadeLogits.tanh,
    torch.mul: UnmadeLogits.__mul__,
    torch.div: UnmadeLogits.__truediv__,
    torch.nn.functional.cross_entropy: _cross_entropy,
}


def _refuse(what: str) -> NoReturn:
    raise BackendError(
        f"the model's forward uses {what} on its logits, which patch() keeps from being made; it follows "
        "positions, a scale, a cap by tanh, and cross_entropy alone. Call the model with skip_logits=False, "
        "or unpatch(model)."
    )


def _is_mask(step: Any) -> bool:
    return isinstance(step, Tensor) and step.dtype in (torch.bool, torch.uint8)


def _number(operator: str, value: Any) -> float:
    number = None if isinstance(value, Tensor) else as_number(value)
    if number is None or number == 0 or number != number or abs(number) == float("inf"):
        _refuse(f"{operator} {shown(value)}")
    return number


def _refused(operator: str) -> Callable[..., NoReturn]:
    def method(self: UnmadeLogits, *args: Any) -> NoReturn:
        _refuse(operator)

    return method


# What Python would else answer by itself, without __getattr__.
for _operator in (
    *("add", "radd", "sub", "rsub", "rtruediv", "floordiv", "mod", "pow", "rpow", "matmul", "rmatmul"),
    *("iadd", "isub", "imul", "itruediv", "neg", "abs", "eq", "ne", "lt", "le", "gt", "ge", "and", "or"),
    *("iter", "len", "bool", "float", "int", "contains", "setitem", "invert"),
):
    setattr(UnmadeLogits, f"__{_operator}__", _refused(f"__{_operator}__"))
UnmadeLogits.__hash__ = object.__hash__  # type: ignore[method-assign]
