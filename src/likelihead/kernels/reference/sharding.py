"""The one operation of the reference that torch has no rule for, on tensors spread over ranks (DTensor)."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

__all__ = ["register_strategies"]


@cache
def register_strategies() -> None:
    """Tell distributed tensors, which are there already, that the slope of logsigmoid is elementwise."""
    from torch.distributed.tensor.experimental import register_sharding

    register_sharding(torch.ops.aten.log_sigmoid_backward.default)(_elementwise)


def _elementwise(grad: Any, input: Any, buffer: Any) -> list[tuple[list[Any], list[Any]]]:
    from torch.distributed.tensor import Replicate, Shard

    whole = Replicate()
    aligned = tuple(buffer.shape) == tuple(input.shape)  # on an accelerator the buffer is empty
    ways: list[tuple[list[Any], list[Any]]] = [([whole], [whole, whole, whole])]
    for dim in range(len(input.shape)):
        split = Shard(dim)
        ways.append(([split], [split, split, split if aligned else whole]))
    return ways
