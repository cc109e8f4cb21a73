"""The mode under which tensors are followed, and its place in torch's stack of modes.

It stands at the bottom, below whatever the script enters: a mode that is entered by ``with`` leaves by taking
off the top, and so never takes off this one; and it can be taken away in the middle of such a block. Only
torch's default device must stand lower still.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import torch
from torch import Tensor, overrides
from torch.jit import _builtins
from torch.overrides import TorchFunctionMode
from torch.utils._device import DeviceContext

from likelihead.watch.meant import TORCH_S, meant
from likelihead.watch.tracebacks import hide, is_ours

__all__ = ["Handler", "Mode", "is_theirs", "readable", "undisturbed"]

# As torch's own default device stands in the stack; there are no public names for it.
_push: Callable[[TorchFunctionMode], None] = overrides._push_mode
_pop: Callable[[], TorchFunctionMode] = overrides._pop_mode
_depth: Callable[[], int] = torch._C._len_torch_function_stack
_asked: Callable[[Any], bool] = overrides.has_torch_function
_TORCH = os.path.dirname(os.path.abspath(torch.__file__)) + os.sep

Handler = Callable[[Any, tuple[Any, ...], dict[str, Any], Any], None]  # function, args, kwargs, result

_MOST_CALLS = 200_000  # without a loss or a step between them: nothing is followed any longer


class Mode(TorchFunctionMode):
    """Calls a handler, where there is one, after each of torch's functions."""

    def __init__(self, handlers: Mapping[Any, Handler], fault: Callable[[BaseException], None]) -> None:
        super().__init__()
        self._handler = handlers.get
        self._fault = fault
        self.left = _MOST_CALLS

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        try:
            if type(func) not in TORCH_S:
                func = meant(func, sys._getframe(1))
            result = func(*args, **kwargs) if kwargs else func(*args)
        except BaseException as error:
            hide(error)
            raise
        self.left -= 1
        try:
            handler = self._handler(func)
            if handler is not None and self.left > 0 and undisturbed():
                handler(func, args, kwargs or {}, result)
        except Exception as error:
            self._fault(error)
        return result

    def rested(self) -> None:
        """Something was seen: the calls are counted anew."""
        self.left = _MOST_CALLS

    def put_on(self) -> None:
        """Put it at the bottom of this thread's stack."""
        above = _taken_off(None)
        if above and isinstance(above[-1], DeviceContext):
            _push(above.pop())
        _push(self)
        _put_back(above)
        _standing.append(self)
        overrides.has_torch_function = _asks  # type: ignore[assignment]

    def take_off(self) -> bool:
        """Take it off this thread's stack; False where it is not there: it is being run just now."""
        above = _taken_off(self)
        found = _depth() > 0
        if found:
            _pop()
        _put_back(above)
        if found:
            self._stands_no_more()
        return found

    def leave_behind(self) -> None:
        """In another thread than its own, from where it cannot be taken off: it is idle from now on."""
        self.left = 0
        self._stands_no_more()

    def _stands_no_more(self) -> None:
        _standing.remove(self)
        if not _standing and overrides.has_torch_function is _asks:
            overrides.has_torch_function = _asked  # type: ignore[assignment]


_standing: list[Mode] = []


def _asks(arguments: Any) -> bool:
    """Whether somebody else overrides torch's functions: the fast paths of torch's modules ask for it."""
    away = [mode for mode in tuple(_standing) if mode.take_off()]
    try:
        return _asked(arguments)
    finally:
        for mode in reversed(away):
            mode.put_on()


# torch.jit.script knows by their identity the functions that it need not compile.
_builtins._register_builtin(_asks, "aten::has_torch_function")


def is_theirs(func: Any) -> bool:
    """Whether this is neither torch's nor the watch's: the script has put it in place of a function."""
    code = getattr(func, "__code__", None)
    if code is None:
        return not type(func).__module__.startswith(("builtins", "torch"))
    return not code.co_filename.startswith(_TORCH) and not is_ours(code)


def undisturbed() -> bool:
    """Whether torch's functions do here what they say: outside every transform and trace."""
    return (
        not torch._C._are_functorch_transforms_active()
        and torch._C._get_tracing_state() is None
        and torch._C._len_torch_dispatch_stack() == 0
    )


def readable(tensor: Any) -> TypeGuard[Tensor]:
    """Whether this is a plain tensor with data, outside every transform and trace."""
    return (
        type(tensor) in (Tensor, torch.nn.Parameter)
        and tensor.layout is torch.strided
        and not (tensor.is_meta or tensor.is_nested or tensor.is_quantized)
        and undisturbed()
    )


def _taken_off(until: TorchFunctionMode | None) -> list[TorchFunctionMode]:
    """The modes above this one, or all, which are off the stack now."""
    above: list[TorchFunctionMode] = []
    while _depth() > 0:
        mode = _pop()
        if mode is until:
            _push(mode)
            break
        above.append(mode)
    return above


def _put_back(above: list[TorchFunctionMode]) -> None:
    for mode in reversed(above):
        _push(mode)
