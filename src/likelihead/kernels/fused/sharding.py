"""How each op is computed on tensors spread over ranks (DTensor): by examples or elements, not classes."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

__all__ = ["register_strategies"]

# Aligned with nothing but the classes: whole on every rank.
_PER_CLASS = ("weight", "logit_offset")


@cache
def register_strategies() -> None:
    """Tell torch's distributed tensors, which are there already, how the ops may be split."""
    from torch.distributed.tensor.experimental import register_sharding

    for name, outputs in (("softmax_nll", 2), ("softmax_nll_backward", 1)):
        op = getattr(torch.ops.likelihead, name).default
        register_sharding(op)(_Strategy(op, outputs, softmax=True))
    for name in ("sigmoid_nll", "sigmoid_nll_backward"):
        op = getattr(torch.ops.likelihead, name).default
        register_sharding(op)(_Strategy(op, 1, softmax=False))


class _Strategy:
    """The ways to split one op: whole, or along any dimension of the logits but that of the classes."""

    def __init__(self, op: Any, outputs: int, *, softmax: bool) -> None:
        self._names = [argument.name for argument in op._schema.arguments]
        self._outputs, self._softmax = outputs, softmax
        self._backward = "logits" in self._names and self._names[0] != "logits"
        self.__name__ = op._schema.name

    def __call__(self, *arguments: Any) -> list[tuple[list[Any], list[Any]]]:
        from torch.distributed.tensor import Replicate, Shard

        given = dict(zip(self._names, arguments, strict=False))
        shape = given["logits"].shape
        dims = [d for d in range(len(shape)) if not (self._softmax and d == 1)]

        def placements(split: Any) -> list[Any]:
            return [split(n, a) if hasattr(a, "tensor_meta") else None for n, a in given.items()]

        ways: list[tuple[list[Any], list[Any]]] = [
            ([Replicate()] * self._outputs, placements(lambda *_: Replicate()))
        ]
        for d in dims:

            def split(name: str, spec: Any, d: int = d) -> Any:
                place = self._dimension(name, tuple(spec.shape), tuple(shape), d)
                return Replicate() if place is None else Shard(place)

            per_example = self._softmax and not self._backward and d > 0
            ways.append(([Shard(d - per_example)] * self._outputs, placements(split)))
        return ways

    def _dimension(self, name: str, shape: tuple[int, ...], logits: tuple[int, ...], d: int) -> int | None:
        """Which dimension of an argument goes with dimension ``d`` of the logits, or None where none does."""
        if self._softmax:
            if name in _PER_CLASS:
                return None
            place = d if len(shape) == len(logits) else d - (d > 0)
        elif name == "sample_weight":
            place = d
        else:
            place = d - (len(logits) - len(shape))
        return place if 0 <= place < len(shape) and shape[place] == logits[d] else None
