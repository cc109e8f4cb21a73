"""Losses of overlapping regions: those of likelihead, and the project's own, known by their names."""

from __future__ import annotations

import re

from likelihead.lint.knowledge.call import CONSTRUCTORS, Call, external
from likelihead.lint.knowledge.losses import Loss, call_loss
from likelihead.lint.knowledge.objects import CALLS
from likelihead.lint.values import UNKNOWN, Function, Object, Value, constant

__all__ = ["is_overlap"]

_NAMED = re.compile(r"(?<!in)dice|tversky|jaccard|(?:^|_|soft|mean|binary|m)iou(?:_|loss|score|coef|$)")


def is_overlap(function: Function) -> bool:
    """Whether a function, or the class whose method it is, has the name of an overlap loss."""
    names = [function.name]
    if function.bound_class is not None:
        names.append(function.bound_class.name)
    return any(_NAMED.search(name.lower()) for name in names)


# What they take is said by `from_logits`, which has no default.
_TAKEN = {
    True: Loss("overlap_with_logits", "logits"),
    False: Loss("overlap", "probabilities"),
}


def _take(name: str, call: Call, options: dict[str, Value], criterion: Object | None) -> Value:
    told = constant(options.get("from_logits"), ...)
    loss = _TAKEN[told] if isinstance(told, bool) else None
    return UNKNOWN if loss is None else call_loss(loss, name, call, options, criterion)


for _name in ("dice", "jaccard", "tversky", "focal_tversky", "lovasz"):
    # `canonical` gives what likelihead has in place of torch's functions and classes the names of torch.
    _class = f"torch.nn.{_name.title().replace('_', '')}Loss"

    def _called(criterion: Object, call: Call) -> Value:
        return _take(criterion.name, call, criterion.options, criterion)

    @external(f"torch.nn.functional.{_name}_loss")
    def _function(call: Call) -> Value:
        return _take(call.name, call, call.kwargs, None)

    CONSTRUCTORS[_class] = lambda call: call.object(())
    CALLS[_class] = _called
