"""Rows of integers: which were filled up to one length, and which go into an embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor

from likelihead.watch.kinds.rules import Rule, Rules, argument, named, number
from likelihead.watch.mode import Handler
from likelihead.watch.places import caller
from likelihead.watch.tags import Padded, Tag

__all__ = ["is_index", "rows"]


def rows(rules: Rules) -> None:
    """Add the rules; those of `arithmetic` for joins must be there."""
    rules.add(named("pad_sequence"), _pad_sequence)
    rules.add(named("pad"), _pad(rules))
    for function in named("stack", "cat", "concat", "concatenate", "vstack"):
        rules.see([function], _joined(rules, rules.table[function], stacked=function is torch.stack))
    rules.see([F.embedding], _embedded(rules))


def is_index(tensor: Any) -> TypeGuard[Tensor]:
    """Whether this may hold class indices."""
    return type(tensor) is Tensor and tensor.dtype in (torch.int64, torch.int32, torch.uint8)


def _pad_sequence(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
    sequences = argument(args, kwargs, 0, "sequences")
    value = number(argument(args, kwargs, 2, "padding_value")) or 0
    if not is_index(result) or result.dim() != 2 or value != int(value):
        return None
    lengths = [len(row) for row in sequences]
    return _tag([max(lengths) - length for length in lengths], int(value), result)


def _pad(rules: Rules) -> Rule:
    """``F.pad`` of one row; of several it is a shift, or makes batches alike."""

    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        input, sides = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "pad")
        mode, value = argument(args, kwargs, 2, "mode"), number(argument(args, kwargs, 3, "value")) or 0
        if not is_index(result) or result.dim() != 1 or mode not in (None, "constant") or value != int(value):
            return None
        if rules.known(input) is not None or len(sides) != 2 or min(sides) < 0:
            return None
        return _tag([sum(sides)], int(value), result)

    return rule


def _tag(filled: Sequence[int], value: int, result: Tensor) -> Tag | None:
    if not sum(filled):
        return None
    padded = Padded(value, sum(filled), result.numel(), min(filled), max(filled))
    return Tag("padded", caller(), padded=padded)


def _joined(rules: Rules, before: Handler, *, stacked: bool) -> Handler:
    """Rows that were filled up one by one; what no row of them is, others know."""

    def handler(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        tensors = argument(args, kwargs, 0, "tensors")
        tags = [rules.known(one) for one in tensors] if isinstance(tensors, (list, tuple)) else []
        parts = [tag.padded for tag in tags if tag is not None and tag.padded is not None]
        if not parts:
            before(function, args, kwargs, result)
            return
        first = next(tag for tag in tags if tag is not None and tag.padded is not None)
        whole = all(tag.whole for tag in tags if tag is not None)
        if type(result) is not Tensor or len({part.value for part in parts}) > 1 or not whole:
            return
        if any(tag is not None and tag.padded is None for tag in tags) or not (stacked or result.dim() == 2):
            return
        least = 0 if len(parts) < len(tags) else min(part.least for part in parts)
        padded = Padded(
            parts[0].value,
            sum(part.count for part in parts),
            result.numel(),
            least,
            max(part.most for part in parts),
        )
        rules.book.put(result, first.but(padded=padded, shape=()))

    return handler


def _embedded(rules: Rules) -> Handler:
    def handler(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        ids = argument(args, kwargs, 0, "input")
        if is_index(ids):
            padding_idx = argument(args, kwargs, 2, "padding_idx")
            tag = Tag("sequences", caller(), shape=tuple(ids.shape))
            rules.engine.use("embedding", tag, ids=ids, padding_idx=padding_idx)

    return handler
