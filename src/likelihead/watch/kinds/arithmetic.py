"""Functions that change numbers, as far as a probability stays one: what the guard's `mixing` says, forwards.

A clamp, a small constant, a factor that is taken back, an average, an interpolation, a choice between two
probabilities or a copy leave numbers between 0 and 1. Whatever else is done makes the result unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from likelihead.watch.kinds import terms
from likelihead.watch.kinds.rules import PROBABILITIES, Rule, Rules, argument, named, number
from likelihead.watch.kinds.sources import is_trained
from likelihead.watch.kinds.views import cast
from likelihead.watch.tags import Tag

__all__ = ["arithmetic"]

_SMALL = 1e-2  # an epsilon that is added to a probability; one half makes it something else


def arithmetic(rules: Rules) -> None:
    """Add the rules."""
    for names, rule in (
        (("add",), _add(rules, 1.0)),
        (("sub", "subtract"), _add(rules, -1.0)),
        (("mul", "multiply"), _times(rules)),
        (("div", "divide", "true_divide"), _divided(rules)),
        (("clamp", "clip"), _clamp(rules, 1, 2)),
        (("clamp_min",), _clamp(rules, 1, None)),
        (("clamp_max",), _clamp(rules, None, 1)),
        (("nan_to_num",), _clamp(rules, None, None)),
        (("neg", "negative"), _negative(rules)),
        (("lerp",), _lerp(rules)),
        (("masked_fill",), _masked_fill(rules)),
    ):
        rules.add(named(*names), rule)
        rules.add_in_place(named(*(f"{name}_" for name in names)), rule)
    rules.add([Tensor.__rsub__], _subtracted_from(rules))
    rules.add(named("mean"), _mean(rules))
    rules.add(named("sum"), _sum(rules))
    rules.add(
        named("avg_pool2d", "avg_pool3d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"), _blurred(rules)
    )
    rules.add(named("interpolate"), _interpolated(rules))
    rules.add(named("where"), _where(rules))
    rules.add(named("maximum", "minimum", "fmax", "fmin"), _larger(rules))
    rules.add(named("cat", "concat", "concatenate", "vstack", "hstack", "dstack"), _cat(rules))
    rules.add(named("stack"), _stack(rules))
    rules.see([Tensor.__setitem__], _set_item(rules))
    rules.add_in_place(named("index_put_", "masked_scatter_", "index_copy_"), _written(rules))
    rules.add_in_place(named("copy_"), _copied(rules))


def _part(tag: Tag, share: float, *, mixed: bool = False) -> Tag | None:
    """So much of a probability: one again where it is all of it."""
    inner = tag.of if tag.kind == "multiple" else tag
    if inner is None:
        return None
    mixed = mixed or inner.mixed
    if abs(share - 1) < 1e-6:
        return inner.but(mixed=mixed, whole=inner.whole and not mixed, dim=None if mixed else inner.dim)
    return Tag("multiple", inner.at, of=inner.but(mixed=mixed), share=share)


def _inner(tag: Tag | None) -> Tag | None:
    """The probability that a tensor is, or is so much of."""
    if tag is None:
        return None
    inner = tag.of if tag.kind == "multiple" else tag
    return inner if inner is not None and inner.kind in PROBABILITIES else None


def _add(rules: Rules, sign: float) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        first, second = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "other")
        one, other = rules.known(first), rules.known(second)
        if one is None and other is None:
            return None
        factor = sign * kwargs.get("alpha", 1)
        constant = number(second)
        if (one is not None and one.kind == "loss") or (other is not None and other.kind == "loss"):
            return one if constant is not None else terms.added(one, other, factor)
        if constant is not None:
            return _shifted(one, factor * constant)
        if one is not None and one.kind == "layer":
            return one if is_trained(second) and second.dim() <= 1 else None
        if other is not None and other.kind == "layer":
            return other if is_trained(first) and first.dim() <= 1 else None
        left, right = _inner(one), _inner(other)
        if one is None or other is None or left is None or right is None:
            return None
        if factor <= 0 or left.kind != right.kind:
            return None
        return _part(one, one.share + factor * other.share, mixed=True)

    return rule


def _shifted(tag: Tag | None, by: float) -> Tag | None:
    if tag is None or by == 0:
        return tag
    if tag.kind in PROBABILITIES and abs(by) <= _SMALL:
        return tag.but(whole=False, guarded=True)
    return None


def _subtracted_from(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        tag = rules.known(args[0])
        return terms.scaled(tag, -1.0) if tag is not None and tag.kind == "loss" else None

    return rule


def _negative(rules: Rules) -> Rule:
    return _subtracted_from(rules)


def _times(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        first, second = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "other")
        tag, by = rules.known(first), second
        if tag is None:
            tag, by = rules.known(second), first
        if tag is None:
            return None
        if tag.kind == "loss":
            return terms.scaled(tag, by)
        return _scaled(tag, number(by))

    return rule


def _scaled(tag: Tag, by: float | None) -> Tag | None:
    if by == 1:
        return tag
    if by is None or by <= 0 or _inner(tag) is None:
        return None
    return _part(tag, tag.share * by)


def _divided(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        tag = rules.known(argument(args, kwargs, 0, "input"))
        by = argument(args, kwargs, 1, "other")
        if tag is None or kwargs.get("rounding_mode") is not None:
            return None
        if tag.kind == "loss":
            return terms.scaled(tag, by, divide=True)
        if tag.kind == "exp_of_layer" and isinstance(by, Tensor):
            rules.engine.use("normalised", tag)
        divisor = number(by)
        return _scaled(tag, 1 / divisor) if divisor else None

    return rule


def _clamp(rules: Rules, low: int | None, high: int | None) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        tag = rules.known(argument(args, kwargs, 0, "input"))
        if tag is None or tag.kind not in PROBABILITIES:
            return None
        least = kwargs.get("min") if low is None else argument(args, kwargs, low, "min")
        most = kwargs.get("max") if high is None else argument(args, kwargs, high, "max")
        if isinstance(least, Tensor) or isinstance(most, Tensor):
            return None
        if (least is not None and least > 1) or (most is not None and most < 0):
            return None  # nothing is left of a probability
        return tag.but(whole=False, guarded=True)

    return rule


def _mean(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        input = argument(args, kwargs, 0, "input")
        tag = rules.known(input)
        if tag is None:
            return None
        if tag.kind == "loss":
            mean = terms.averaged(tag, input, result)
            if len(mean.terms) > 1:
                rules.engine.use("averaged", mean)
            return mean
        if _inner(tag) is not None:
            return _part(tag, tag.share, mixed=True)
        return None

    return rule


def _sum(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        input = argument(args, kwargs, 0, "input")
        tag = rules.known(input)
        if tag is None:
            return None
        if tag.kind == "loss":
            return terms.summed(tag)
        if tag.kind == "exp_of_layer":
            rules.engine.use("normalised", tag)
        if _inner(tag) is None or not result.numel():
            return None
        return _part(tag, tag.share * (input.numel() // result.numel()), mixed=True)

    return rule


def _blurred(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        tag = rules.known(argument(args, kwargs, 0, "input"))
        if tag is None or tag.kind not in PROBABILITIES:
            return None
        if len(args) > 6 or kwargs.get("divisor_override") is not None:
            return None
        return tag.but(mixed=True, whole=False, dim=None)

    return rule


_WITHIN = frozenset({"nearest", "nearest-exact", "area", "linear", "bilinear", "trilinear"})


def _interpolated(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        tag = rules.known(argument(args, kwargs, 0, "input"))
        mode = argument(args, kwargs, 3, "mode") or "nearest"
        if tag is None or tag.kind not in PROBABILITIES or mode not in _WITHIN:
            return None  # bicubic interpolation overshoots
        return tag.but(mixed=tag.mixed or not mode.startswith("nearest"), whole=False)

    return rule


def _lerp(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        one = rules.known(argument(args, kwargs, 0, "input"))
        other = rules.known(argument(args, kwargs, 1, "end"))
        weight = number(argument(args, kwargs, 2, "weight"))
        if weight is None or not 0 <= weight <= 1:
            return None
        both = _joined([one, other])
        return None if both is None or both.kind not in PROBABILITIES else both.but(mixed=True)

    return rule


def _masked_fill(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        tag = rules.known(argument(args, kwargs, 0, "input"))
        value = number(argument(args, kwargs, 2, "value"))
        if tag is None or value is None:
            return None
        if tag.kind in PROBABILITIES:
            return tag.but(whole=False, mixed=True) if 0 <= value <= 1 else None
        return tag.but(whole=False) if tag.kind in ("sequences", "class_index", "sampled") else None

    return rule


def _where(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        first, second = argument(args, kwargs, 1, "input"), argument(args, kwargs, 2, "other")
        one, other = rules.known(first), rules.known(second)
        if one is None and other is None:
            return None
        if one is not None and other is not None:
            return _joined([one, other]) if one.kind in PROBABILITIES else None
        tag, beside = (one, number(second)) if one is not None else (other, number(first))
        if tag is None or tag.kind not in PROBABILITIES or beside is None or not 0 <= beside <= 1:
            return None
        return tag.but(whole=False, mixed=True)

    return rule


def _larger(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        one, other = rules.known(args[0]), rules.known(argument(args, kwargs, 1, "other"))
        return _joined([one, other]) if one is not None and one.kind in PROBABILITIES else None

    return rule


# -- joins ---------------------------------------------------------------------------------------------


def _joined(tags: Sequence[Tag | None], dim: int | None = None) -> Tag | None:
    """Several tensors that became one have a kind where all of them have the same one."""
    first = tags[0] if tags else None
    if first is None or first.kind in ("multiple", "padded"):
        return None
    for tag in tags:
        if tag is None or tag.kind != first.kind or tag.layer != first.layer:
            return None
    known = [tag for tag in tags if tag is not None]
    if first.kind == "loss":
        return terms.joined(known)
    if len({tag.dim for tag in known}) > 1:
        dim = None
    return first.but(
        dim=dim,
        whole=False,
        mixed=any(tag.mixed for tag in known),
        guarded=any(tag.guarded for tag in known),
        of=first.of if all(tag.of == first.of for tag in known) else None,
        shape=(),
    )


def _cat(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        tensors = argument(args, kwargs, 0, "tensors")
        first = _first(rules, tensors)
        if first is None:
            return None
        along = argument(args, kwargs, 1, "dim")
        along = along % result.dim() if isinstance(along, int) else 0
        same = all(tensor.dim() == result.dim() for tensor in tensors)
        kept = first.dim if same and first.dim != along and "axis" not in kwargs else None
        return _joined([rules.known(tensor) for tensor in tensors], kept)

    return rule


def _stack(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        tensors = argument(args, kwargs, 0, "tensors")
        first = _first(rules, tensors)
        if first is None:
            return None
        along = argument(args, kwargs, 1, "dim")
        along = along % result.dim() if isinstance(along, int) else 0
        kept = None if first.dim is None else first.dim + (along <= first.dim)
        return _joined([rules.known(tensor) for tensor in tensors], kept)

    return rule


def _first(rules: Rules, tensors: Any) -> Tag | None:
    return rules.known(tensors[0]) if isinstance(tensors, (list, tuple)) and tensors else None


# -- written into ----------------------------------------------------------------------------------------


def _set_item(rules: Rules) -> Any:
    def handler(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        target, _, value = args
        before = rules.book.before(target)
        rules.book.changed(target)
        tag = None if before is None else _joined([before, rules.known(value)])
        if tag is not None and tag.kind != "loss":
            rules.book.put(target, tag)

    return handler


def _written(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        if kwargs.get("accumulate") or len(args) > 3:
            return None
        value = args[2] if len(args) > 2 else kwargs.get("values", kwargs.get("source"))
        tag = _joined([rules.known(args[0]), rules.known(value)])
        return None if tag is None or tag.kind == "loss" else tag

    return rule


def _copied(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        source = argument(args, kwargs, 1, "src")
        tag = rules.known(source)
        if tag is None:
            return None
        if source.shape != result.shape:
            tag = tag.but(dim=None, whole=False)  # it was broadcast
        return cast(tag, result)

    return rule
