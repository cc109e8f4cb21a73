"""Functions that leave each number as it is: views, picks, casts and copies, with the softmax's dimension.

A view keeps the strides of its dimensions, which tell which one became which; of a copy in another shape the
sizes tell, as in the guard's walk.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from likelihead.guard.axes import regrouped
from likelihead.watch.kinds.rules import Rule, Rules, argument, getters, named
from likelihead.watch.places import caller
from likelihead.watch.tags import Tag

__all__ = ["cast", "moved", "views"]

_SAME = (
    *("clone", "contiguous", "to", "type", "type_as", "float", "double", "half", "bfloat16", "cpu", "cuda"),
    *("long", "int", "short", "byte", "bool", "detach", "detach_", "requires_grad_", "alias", "pin_memory"),
    *("positive", "__deepcopy__", "resolve_conj", "real"),
)
_VIEWS = (
    *("view", "view_as", "reshape", "reshape_as", "flatten", "unflatten", "ravel", "transpose", "swapaxes"),
    *("swapdims", "permute", "movedim", "moveaxis", "t", "adjoint", "squeeze", "unsqueeze", "expand"),
    *("expand_as", "broadcast_to", "atleast_1d", "atleast_2d", "atleast_3d"),
)
_CUTS = ("select", "narrow", "diagonal")
_PIECES = ("split", "chunk", "unbind", "tensor_split", "split_with_sizes", "hsplit", "vsplit", "dsplit")
_PICKS = (
    *("gather", "masked_select", "take", "take_along_dim", "index_select", "repeat", "repeat_interleave"),
    *("tile", "flip", "fliplr", "flipud", "roll", "unfold"),
)
_KEEP_DIMS = ("flip", "fliplr", "flipud", "index_select")
_FLOATS_ONLY = frozenset({"softmax", "sigmoid", "log_softmax", "log_sigmoid", "log_of_softmax"}) | {
    *("log_of_sigmoid", "layer", "exp_of_layer", "loss", "multiple"),
}


def views(rules: Rules) -> None:
    """Add the rules."""
    rules.add(named(*_SAME), _same(rules))
    rules.add(getters("data"), _data(rules))
    rules.add(named(*_VIEWS) + getters("T", "mT", "H", "mH"), _view(rules))
    rules.add(named(*_CUTS), _cut(rules))
    rules.add([Tensor.__getitem__], _item(rules))
    rules.see(named(*_PIECES), _pieces(rules))
    rules.add(named(*(name for name in _PICKS if name not in _KEEP_DIMS)), _picked(rules, dims=False))
    rules.add(named(*_KEEP_DIMS), _picked(rules, dims=True))


def cast(tag: Tag, result: Tensor) -> Tag | None:
    """The same numbers in the result's dtype: a probability that was made an integer is none."""
    return None if tag.kind in _FLOATS_ONLY and not result.is_floating_point() else tag


def moved(tag: Tag, input: Tensor, result: Tensor, *, cut: bool = False) -> Tag:
    """The tag of a view or reshape of `input`; ``cut`` where it may hold a part of a dimension."""
    if tag.rest_of is not None and (result.shape != input.shape or result.stride() != input.stride()):
        tag = tag.but(rest_of=None)
    dim, whole = tag.dim, tag.whole and result.numel() == input.numel()
    if dim is not None:
        dim = _followed(dim, input, result, cut)
    if dim == tag.dim and whole == tag.whole:
        return tag
    return tag.but(dim=dim, whole=whole)


def _followed(dim: int, input: Tensor, result: Tensor, cut: bool) -> int | None:
    if dim >= input.dim():
        return None
    if not _share_memory(input, result):
        axes = None if cut else regrouped(tuple(result.shape), list(range(result.dim())), tuple(input.shape))
        return None if axes is None else axes[dim]
    size, stride = input.size(dim), input.stride(dim)
    for place in range(result.dim()):
        now = result.size(place)
        if result.stride(place) == stride and (now == size or cut) and 1 < now <= size:
            return place
    return None


def _share_memory(first: Tensor, second: Tensor) -> bool:
    return bool(first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr())


def _same(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        input = args[0] if args else kwargs.get("input")
        tag = rules.known(input)
        return None if tag is None else cast(tag, result)

    return rule


def _data(rules: Rules) -> Rule:
    same = _same(rules)

    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        if not args[0].requires_grad:  # of a gradient, say: changes of it will not be seen
            rules.engine.happened("unversioned", args[0])
        return same(args, kwargs, result)

    return rule


def _view(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        input = args[0] if args else kwargs.get("input")
        if not isinstance(input, Tensor):
            return None
        tag = rules.known(input)
        flat = result.dim() == 1 and input.dim() > 1 and result.numel() == input.numel()
        if tag is not None:
            tag = moved(tag, input, result)
            return tag.but(shape=tuple(input.shape)) if flat and tag.kind == "padded" else tag
        return Tag("sequences", caller(), shape=tuple(input.shape)) if flat and _counts(input) else None

    return rule


def _counts(tensor: Tensor) -> bool:
    return tensor.dtype in (torch.int64, torch.int32)


def _cut(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        input = args[0] if args else kwargs.get("input")
        tag = rules.known(input)
        return None if tag is None else _part(tag, input, result)

    return rule


def _part(tag: Tag, input: Any, result: Tensor) -> Tag | None:
    if tag.kind == "loss":
        return _part_of_loss(tag, input, result)
    return moved(tag, input, result, cut=True)


def _part_of_loss(tag: Tag, input: Tensor, result: Tensor) -> Tag | None:
    if result.numel() == input.numel():
        return tag
    if len(tag.terms) != 1:
        return None
    term = tag.terms[0]
    kept = type(term)(term.call, term.site, term.factor, False, float(result.numel()))
    return tag.but(terms=(kept,), whole=False)


def _item(rules: Rules) -> Rule:
    cut = _cut(rules)

    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        input, index = args
        tag = rules.known(input)
        if tag is None:
            return None
        if tag.kind == "loss" or _share_memory(input, result):
            return cut(args, kwargs, result)
        if tag.kind == "padded":
            return None  # what was picked may be what is no padding
        dim, rest_of = tag.dim if isinstance(index, (Tensor, list)) else None, None
        if dim is not None:  # one index of tensors: its dimensions stand in front
            index = torch.as_tensor(index) if isinstance(index, list) else index
            rest_of = 0 if dim == 0 and index.dim() == 1 else None
            used = index.dim() if index.dtype is torch.bool else 1
            dim = None if dim < used else dim - used + (1 if index.dtype is torch.bool else index.dim())
        return tag.but(dim=dim, rest_of=rest_of, whole=False, mixed=tag.mixed)

    return rule


def _pieces(rules: Rules) -> Any:
    def handler(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        input = args[0] if args else kwargs.get("input")
        tag = rules.known(input)
        if tag is None or torch._C._are_functorch_transforms_active():
            return
        for piece in result:
            part = _part(tag, input, piece)
            if part is not None:
                rules.book.put(piece, part)

    return handler


def _picked(rules: Rules, *, dims: bool) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        input = argument(args, kwargs, 0, "input")
        tag = rules.known(input)
        if tag is None:
            return None
        if tag.kind == "loss":
            return _part_of_loss(tag, input, result)
        if tag.kind == "padded":
            return None
        kept = tag.dim if dims and result.dim() == input.dim() else None
        whole = tag.whole and dims and result.numel() == input.numel()
        return tag.but(dim=kept, whole=whole)

    return rule
