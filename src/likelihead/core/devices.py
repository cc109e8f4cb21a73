"""Where the tensors of a call lie: on one device, in dense memory; or an error in words that name both."""

from __future__ import annotations

import torch
from torch import Tensor

from likelihead.errors import BackendError

__all__ = ["check_dense", "check_devices", "is_dense"]


def is_dense(tensor: Tensor) -> bool:
    """Whether a kernel can find its elements by strides: no sparse, nested or packed tensor."""
    return tensor.layout is torch.strided and not tensor.is_nested


def check_dense(**others: object) -> None:
    """Refuse sparse, nested and packed tensors among the arguments; what is no tensor is not looked at.

    Raises:
        BackendError: it names the argument and its layout.
    """
    for name, other in others.items():
        if isinstance(other, Tensor) and not is_dense(other):
            layout = "nested" if other.is_nested else str(other.layout).removeprefix("torch.")
            raise BackendError(
                f"{name} is a tensor of layout {layout}; expected a dense one: "
                + (f"{name}.to_padded_tensor(0.0)." if other.is_nested else f"{name}.to_dense().")
            )


def check_devices(first: str, tensor: object, /, *, scalars: tuple[str, ...] = (), **others: object) -> None:
    """Refuse tensors on another device than the first one's.

    A tensor on the meta device has no values. Beside tensors that have some it would turn a kernel into its
    shape-only stand-in, which returns memory as it happens to be.

    Args:
        first: what the first tensor is called.
        tensor: the first tensor: the logits, nearly always. What is no tensor is for others to refuse.
        scalars: the arguments that may be a 0-d tensor on the CPU beside any device, as torch's arithmetic
            has it.
        others: the other arguments by name; what is no tensor is not looked at.

    Raises:
        RuntimeError: as torch does; it names the argument and both devices.

    >>> import torch
    >>> check_devices("input", torch.ones(2), weight=torch.ones(2), target=None)
    """
    if not isinstance(tensor, Tensor):
        return
    device = tensor.device
    for name, other in others.items():
        if other is None or not isinstance(other, Tensor) or other.device == device:
            continue
        if name in scalars and other.dim() == 0 and other.is_cpu:
            continue
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices: "
            f"{first} is on {device} and {name} on {other.device}; {_remedy(name, device.type, other)}."
        )


def _remedy(name: str, device: str, other: Tensor) -> str:
    if other.is_meta:
        # A buffer of a module that was built without memory has no values to move.
        return f"give {name} values first (Module.to_empty and load_state_dict, or build it on {device})"
    return f"move it with {name}.to({device!r})"
