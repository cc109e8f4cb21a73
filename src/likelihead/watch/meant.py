"""Which function a mode is really told of, where a script has put one of its own in torch's place.

Torch's functions in Python tell a mode of the function that has their name just now, and so do its methods in
C++. Where a script's own function calls the original, the mode is told of the script's own; calling that once
more would do twice what it does.
"""

from __future__ import annotations

import os
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    MethodDescriptorType,
    MethodWrapperType,
    WrapperDescriptorType,
)
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, overrides

__all__ = ["TORCH_S", "meant"]

TORCH_S = frozenset(
    {
        *(BuiltinFunctionType, MethodDescriptorType, MethodWrapperType, WrapperDescriptorType),
        *(torch._ops.OpOverload, torch._ops.OpOverloadPacket),
    }
)
"""Types of functions that are what they say."""

_TORCH = os.path.dirname(os.path.abspath(torch.__file__)) + os.sep
_TELLS = overrides.handle_torch_function.__code__
_BY_CODE: dict[CodeType, Any] = {
    function.__code__: function
    for home in (F, torch.functional, Tensor)
    for function in vars(home).values()
    if type(function) is FunctionType
}


def meant(function: Any, frame: FrameType | None) -> Any:
    """The function that was called, of which a mode was told this; by the frame that called the mode."""
    code = getattr(function, "__code__", None)
    if frame is None or (code is not None and code.co_filename.startswith(_TORCH)):
        return function
    if frame.f_code is not _TELLS:
        return _method(function)
    original = frame.f_back
    if original is None or original.f_code is code:
        return function  # theirs, and told of by itself
    return _BY_CODE.get(original.f_code, function)


def _method(function: Any) -> Any:
    """The method in C++ that this was put in the place of."""
    for name, value in vars(Tensor).items():
        if value is function:
            return getattr(torch._C.TensorBase, name, function)
    return function
