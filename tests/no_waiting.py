"""Code that would make the host wait for a GPU, or that no CUDA graph can capture, raises: on a CPU, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from strict_interpreter import is_running


class Waits(AssertionError):
    """It asks a GPU for a value, or moves memory that is not pinned."""


_METHODS = (
    "item", "tolist", "cpu", "numpy", "__array__", "__bool__", "__float__", "__int__", "__index__",
    "__complex__", "__contains__", "__format__", "__repr__", "nonzero", "masked_select", "unique", "equal",
    "allclose", "is_nonzero", "argwhere", "cuda", "pin_memory",
)  # fmt: skip
_FUNCTIONS = (
    "nonzero", "masked_select", "unique", "unique_consecutive", "equal", "allclose", "is_nonzero", "argwhere",
    "tensor", "as_tensor", "asarray", "from_numpy", "bincount",
)  # fmt: skip
_OPERATORS = (
    "aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::_unique2",
    "aten::is_nonzero", "aten::bincount", "aten::repeat_interleave",
)  # fmt: skip


class _Operators(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        if name in _OPERATORS and not is_running():
            raise Waits(f"{name} waits for the device")
        if name.startswith("aten::index") and any(
            isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8) for i in _listed(args[1:])
        ):
            raise Waits(f"{name} by a mask counts its elements first")
        return func(*args, **(kwargs or {}))


def _listed(values: Any) -> Iterator[Any]:
    for value in values:
        yield from value if isinstance(value, (list, tuple)) else (value,)


def _raising(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def waits(*args: Any, **kwargs: Any) -> Any:
        if is_running():
            return function(*args, **kwargs)
        raise Waits(f"{name} waits for the device")

    return waits


def _moving(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    # By another tensor's device, which is its own already, nothing is moved.
    if "cpu" in (*args, *kwargs.values()):
        raise Waits("to('cpu') waits for the device")
    return torch._C.TensorBase.to(self, *args, **kwargs)


@contextmanager
def no_waiting() -> Iterator[None]:
    """Raise `Waits` for what is called within, backward passes too, but for the bodies of custom ops."""
    with pytest.MonkeyPatch.context() as patch, _Operators():
        for name in _METHODS:
            patch.setattr(Tensor, name, _raising(name, getattr(Tensor, name)))
        for name in _FUNCTIONS:
            patch.setattr(torch, name, _raising(name, getattr(torch, name)))
        patch.setattr(Tensor, "to", _moving)
        yield
