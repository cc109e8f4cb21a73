"""Whether the Triton kernels can serve a machine or a device, and their place under the torch ops.

Nothing here imports Triton, and nothing asks for a GPU before a call does: both would show in the time of
``import likelihead`` and in processes that never see one.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from likelihead.kernels.fused.registration import INTERPRETED, register

__all__ = ["absent", "implementation", "refuses"]

OLDEST, NEWEST = (3, 5), (3, 9)  # of Triton: torch 2.10 brings the one, 2.15 the other
LEAST_CAPABILITY = (7, 0)

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)

_BUILDS = {name for name in ("cuda", "hip") if getattr(torch.version, name, None)}
_UNASKED = "not asked yet"
_absent: str | None = _UNASKED
_unfit_devices: dict[int, str | None] = {}


def absent() -> str | None:
    """Why the kernels cannot be used on this machine, or None. Looked up once."""
    global _absent
    if _absent is _UNASKED:
        _absent = _why_absent()
    return _absent


def refuses(logits: Tensor) -> str | None:
    """Why the kernels cannot serve these logits, or None."""
    device = logits.device
    if not (device.type == "cuda" or device.type == "meta" or (INTERPRETED and device.type == "cpu")):
        return f"it runs on CUDA and HIP devices, and the logits are on {device.type}"
    if logits.dtype not in DTYPES:
        return f"it does not take {logits.dtype}"
    if logits.layout is not torch.strided or logits.is_nested:
        return "it takes dense tensors only"
    if device.type != "cuda":
        return None
    if device.index not in _unfit_devices:
        _unfit_devices[device.index] = _why_unfit(device.index)
    return _unfit_devices[device.index]


def _why_absent() -> str | None:
    if _LIBRARY is None:
        return f"this torch ({torch.__version__}) is built without CUDA and HIP"
    if find_spec("triton") is None:
        return "there is no triton package beside this torch (pip install triton)"
    try:
        found = version("triton")
    except PackageNotFoundError:
        found = ""  # a build under another name: what it brings is what counts
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if numbers and not OLDEST <= numbers <= NEWEST:
        range_ = " to ".join(".".join(map(str, end)) for end in (OLDEST, NEWEST))
        return f"triton is {found}, and the kernels are written for {range_} (pip install 'triton==3.*')"
    if INTERPRETED:
        return None
    if not torch.cuda.is_available():
        return "torch finds no CUDA or HIP device"
    unfit = [_why_unfit(index) for index in range(torch.cuda.device_count())]
    return unfit[0] if all(unfit) else None


def _why_unfit(index: int) -> str | None:
    capability = torch.cuda.get_device_capability(index)
    if "hip" not in _BUILDS and capability < LEAST_CAPABILITY:
        least = ".".join(map(str, LEAST_CAPABILITY))
        return (
            f"the device is of compute capability {'.'.join(map(str, capability))}, and Triton needs {least}"
        )
    return None


# The compiler is not to look into these, which ask the machine, but to take the answer for a constant: what
# torch.compiler.assume_constant_result does, which would load the compiler.
_why_absent._dynamo_marked_constant = True  # type: ignore[attr-defined]
_why_unfit._dynamo_marked_constant = True  # type: ignore[attr-defined]


# Op: the module that has it, under the op's name, with the schema's arguments in order.
_HOMES = {
    "softmax_nll": "softmax_nll",
    "softmax_nll_backward": "softmax_nll",
    "softmax_nll_": "softmax_nll",
    "softmax_scores_": "softmax_scores",
    "softmax_loss": "softmax_nll",
    "softmax_loss_": "softmax_nll",
    "softmax_loss_backward_": "softmax_nll",
    "softmax_kl_": "softmax_kl",
    "sigmoid_nll": "sigmoid_nll",
    "sigmoid_nll_backward": "sigmoid_nll",
    "sigmoid_loss": "sigmoid_nll",
    "sigmoid_loss_backward_": "sigmoid_nll",
    "scale_": "scale",
}


def implementation(module: str, name: str) -> Callable[..., Any]:
    """The op's kernels, imported with Triton at the first call."""
    loaded: list[Callable[..., Any]] = []

    def call(*arguments: Any) -> Any:
        from likelihead.kernels.triton import flags

        if not loaded:
            loaded.append(getattr(import_module(f"likelihead.kernels.triton.{module}"), name))
        first = arguments[0]
        if first is None:  # no upstream gradient
            first = next(a for a in arguments if isinstance(a, Tensor))
        device = first.device
        flags.check(device)  # what an earlier call left behind
        if device.type == "cpu":  # the interpreter, which has done its work when it returns
            result = loaded[0](*arguments)
            flags.check(device)
            return result
        if device.index == torch.cuda.current_device():
            return loaded[0](*arguments)
        with torch.cuda.device(device):  # Triton launches on the current one
            return loaded[0](*arguments)

    return call


def _install() -> torch.library.Library | None:
    if not (INTERPRETED or _BUILDS):
        return None
    register()
    library = torch.library.Library("likelihead", "IMPL")
    for name, module in _HOMES.items():
        for key in ("CUDA", "CPU") if INTERPRETED else ("CUDA",):
            library.impl(name, implementation(module, name), key)
    return library


# At import, since the first call may be one that torch.compile traces; it holds the registrations.
_LIBRARY = _install()
