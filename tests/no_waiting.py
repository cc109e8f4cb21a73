"""Code that would make the host wait for a GPU, or that no CUDA graph can capture, raises: on a CPU, too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode


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
_FORBIDDEN = {
    *(getattr(Tensor, name) for name in _METHODS),
    *(getattr(torch, name) for name in _FUNCTIONS),
}
_OPERATORS = (
    "aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::_unique2",
    "aten::is_nonzero", "aten::bincount", "aten::repeat_interleave",
)  # fmt: skip


class _Functions(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _FORBIDDEN:
            raise Waits(f"{getattr(func, '__name__', func)} waits for the device")
        # By another tensor's device, which is its own already, nothing is moved.
        if func is Tensor.to and "cpu" in (*args[1:], *(kwargs or {}).values()):
            raise Waits("to('cpu') waits for the device")
        return func(*args, **(kwargs or {}))


class _Operators(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        if name in _OPERATORS:
            raise Waits(f"{name} waits for the device")
        if name.startswith("aten::index") and any(
            isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8) for i in _listed(args[1:])
        ):
            raise Waits(f"{name} by a mask counts its elements first")
        return func(*args, **(kwargs or {}))


def _listed(values: Any) -> Iterator[Any]:
    for value in values:
        yield from value if isinstance(value, (list, tuple)) else (value,)


@contextmanager
def no_waiting() -> Iterator[None]:
    """Raise `Waits` for what is called within; the bodies of custom ops are not looked into."""
    with _Functions(), _Operators():
        yield
