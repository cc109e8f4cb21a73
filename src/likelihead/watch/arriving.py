"""Numbers that checks work out where the tensors lie, and read without waiting for a device."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from likelihead.watch.look import Event, to_host

__all__ = ["Arriving", "readable"]

Then = Callable[[dict[str, float]], None]


class Arriving:
    """Numbers on their way, in the order in which they were sent."""

    def __init__(self) -> None:
        self._waiting: list[tuple[tuple[str, ...], Tensor, Event | None, Then]] = []

    def send(self, numbers: Mapping[str, Tensor], then: Then) -> None:
        """Call ``then`` with these numbers once they are here: at once where they lie on the CPU."""
        device = next(iter(numbers.values())).device
        wide = torch.float32 if device.type == "mps" else torch.float64
        host, event = torch.stack([value.to(wide) for value in numbers.values()]), None
        if device.type != "cpu":
            host, event = to_host(host)
        self._waiting.append((tuple(numbers), host, event, then))
        self.read()

    def read(self, *, wait: bool = False) -> None:
        """Hand on what has come."""
        while self._waiting:
            names, host, event, then = self._waiting[0]
            if event is not None:
                if not wait and not event.query():
                    return
                event.synchronize()
            self._waiting.pop(0)
            then(dict(zip(names, host.tolist(), strict=True)))


def readable(tensor: Tensor) -> bool:
    """Whether it may be computed with, in silence."""
    if tensor.is_meta or not tensor.numel() or torch._C._len_torch_dispatch_stack() > 0:
        return False
    return not (tensor.device.type == "cuda" and torch.cuda.is_current_stream_capturing())
