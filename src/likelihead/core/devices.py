"""One device per call: a mix is torch's RuntimeError, in words that name both sides."""

from __future__ import annotations

from torch import Tensor

__all__ = ["check_devices"]


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
