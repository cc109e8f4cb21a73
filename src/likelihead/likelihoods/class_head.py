"""A categorical likelihood of a linear head's logits, which never exist whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from likelihead.core.options import shown
from likelihead.core.reduction import Normalizer
from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.functional._linear import Tokens, as_compact, check_head, for_each_token, tokens_of
from likelihead.functional.linear_predict import top_class
from likelihead.guard.check import check_target
from likelihead.kernels.dispatch import linear_softmax_loss, linear_softmax_nll
from likelihead.likelihoods.checks import check_class_target, check_weight, is_settled, reduces_at_once
from likelihead.likelihoods.headed import check_linear

if TYPE_CHECKING:
    from likelihead.likelihoods.categorical import Categorical

__all__ = ["logits_first", "loss", "nll", "prediction"]

_NAMES = ("hidden", "head.weight", "head.bias")


def nll(
    likelihood: Categorical,
    hidden: Tensor,
    head: nn.Linear,
    target: Tensor,
    sample_weight: Tensor | None,
    compact: bool | None,
) -> Tensor:
    """See `Categorical.linear_nll`."""
    tokens, weight = _tokens(likelihood, hidden, head, target, sample_weight)
    options = likelihood._options() | {"sample_weight": weight, "compact": as_compact(compact)}
    values = linear_softmax_nll(tokens.hidden, head.weight, tokens.target, head.bias, **options)
    return values.nll.reshape(tokens.shape)


def loss(
    likelihood: Categorical,
    hidden: Tensor,
    head: nn.Linear,
    target: Tensor,
    sample_weight: Tensor | None,
    normalizer: Normalizer | None,
    compact: bool | None,
) -> Tensor:
    """See `Categorical.linear_loss`."""
    tokens, weight = _tokens(likelihood, hidden, head, target, sample_weight)
    given = (tokens.hidden, head.weight, tokens.target, head.bias)
    options = likelihood._options() | {"sample_weight": weight, "compact": as_compact(compact)}
    if reduces_at_once(hidden, target, likelihood.reduction, normalizer):
        reduced = linear_softmax_loss(
            *given, reduction=likelihood.reduction, normalizer=normalizer, **options
        )
        if is_settled(reduced, likelihood.reduction):
            return reduced
    values = linear_softmax_nll(*given, **options).nll
    count = likelihood.count(tokens.target, sample_weight=weight)
    inputs = (hidden, head.weight, head.bias, target, sample_weight)
    reduced = likelihood._reduce(values, count, normalizer, *inputs)
    return reduced.reshape(tokens.shape) if likelihood.reduction == "none" else reduced


def prediction(likelihood: Categorical, hidden: Tensor, head: nn.Linear) -> Tensor:
    """The likeliest class of each token."""
    _check(likelihood, hidden, head)
    options = {name: likelihood._options()[name] for name in ("softcap", "logit_offset")}
    return top_class(hidden, head.weight, head.bias, **options)


def logits_first(logits: Tensor, target: Any) -> tuple[Tensor, Any]:
    """A head's logits, whose classes are last, and a target like them, with the classes at dimension 1."""
    if logits.dim() < 3:
        return logits, target
    soft = isinstance(target, Tensor) and target.dim() == logits.dim()
    return logits.movedim(-1, 1), target.movedim(-1, 1) if soft else target


def _check(likelihood: Categorical, hidden: Tensor, head: nn.Linear) -> None:
    if likelihood.takes_log_probs:
        raise OptionError(
            "this likelihood takes log-probabilities, and a head puts out logits; make it with "
            "Categorical(...)."
        )
    check_linear(head)
    check_head(hidden, head.weight, head.bias, names=_NAMES)
    likelihood._check_width(head)
    if hidden.dim() < 2:
        raise ShapeError(f"hidden has shape {list(hidden.shape)}; expected [N, D] or [B, T, D].")


def _tokens(
    likelihood: Categorical, hidden: Tensor, head: nn.Linear, target: Tensor, sample_weight: Tensor | None
) -> tuple[Tokens, Tensor | None]:
    """Hidden states and targets in rows, checked, and the weights of the rows."""
    _check(likelihood, hidden, head)
    if not isinstance(target, Tensor):
        raise DTypeError(f"target is {shown(target)}; expected a tensor of class indices.")
    first, *rest = hidden.shape[:-1]
    classes, ignore_index = likelihood.num_classes, likelihood.ignore_index
    if not target.is_floating_point() or target.dim() < hidden.dim():
        check_class_target(target, [first, classes, *rest], likelihood.target_domain)
        target = target if target.is_floating_point() else target.long()
    tokens = tokens_of(hidden, target, classes, shift=False, ignore_index=ignore_index, name="hidden")
    weight = for_each_token(check_weight(sample_weight, tokens.shape), tokens.shape)
    check_target(
        tokens.target if target.is_floating_point() else target,
        default_action="raise",
        num_classes=classes,
        ignore_index=ignore_index,
        sample_weight=weight,
    )
    return tokens, weight
