"""The losses: what each expects as its input and its target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from likelihead.lint.interpreter.events import Built, LossCall
from likelihead.lint.knowledge.call import CONSTRUCTORS, EXTERNALS, Call
from likelihead.lint.values import (
    UNKNOWN,
    Figure,
    Instance,
    Object,
    Tensor,
    Value,
    alternatives,
)

if TYPE_CHECKING:
    pass

__all__ = ["FUNCTIONS", "LOSSES", "Loss", "call_loss", "register_class", "register_function"]


@dataclass(frozen=True)
class Loss:
    """What a loss expects.

    Attributes:
        family: ``cross_entropy``, ``nll``, ``bce``, ``bce_with_logits``, ``overlap``,
        ``overlap_with_logits``, ``mse``,
            ``l1``, ``kl_div``, ``focal_with_logits``, ``hinge``, ...
        input: position and name of the input among the call's parameters.
        target: the same of the target.
        parameters: of the constructor, or of the function, by position.
        kind: what the input has to be, in words, for messages.
        reduction: the one that is the default.
    """

    family: str
    kind: str
    input: tuple[int, str] = (0, "input")
    target: tuple[int, str] = (1, "target")
    parameters: tuple[str, ...] = ()
    reduction: str = "mean"


_CE = ("weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing")
_NLL = ("weight", "size_average", "ignore_index", "reduce", "reduction")
_BCE = ("weight", "size_average", "reduce", "reduction")
_BCE_LOGITS = ("weight", "size_average", "reduce", "reduction", "pos_weight")
_PLAIN = ("size_average", "reduce", "reduction")

# Of torch.nn: the class, the function of the same loss, the family, and the parameters of the class.
_TORCH: tuple[tuple[str, str, str, str, tuple[str, ...]], ...] = (
    ("CrossEntropyLoss", "cross_entropy", "cross_entropy", "logits", _CE),
    ("CrossEntropyLoss2d", "", "cross_entropy", "logits", _CE),
    ("NLLLoss", "nll_loss", "nll", "log-probabilities", _NLL),
    ("NLLLoss2d", "nll_loss2d", "nll", "log-probabilities", _NLL),
    ("BCELoss", "binary_cross_entropy", "bce", "probabilities", _BCE),
    ("BCEWithLogitsLoss", "binary_cross_entropy_with_logits", "bce_with_logits", "logits", _BCE_LOGITS),
    ("MSELoss", "mse_loss", "mse", "values", _PLAIN),
    ("L1Loss", "l1_loss", "l1", "values", _PLAIN),
    ("SmoothL1Loss", "smooth_l1_loss", "l1", "values", (*_PLAIN, "beta")),
    ("HuberLoss", "huber_loss", "l1", "values", ("reduction", "delta")),
    ("KLDivLoss", "kl_div", "kl_div", "log-probabilities", (*_PLAIN, "log_target")),
    ("MultiLabelSoftMarginLoss", "multilabel_soft_margin_loss", "bce_with_logits", "logits", _BCE),
    ("PoissonNLLLoss", "poisson_nll_loss", "poisson", "values", ()),
    ("SoftMarginLoss", "soft_margin_loss", "hinge", "values", _PLAIN),
    ("MultiMarginLoss", "multi_margin_loss", "hinge", "values", ()),
)

# The functions of torch that the settings may name for a wrapper, and the class of the same loss.
FUNCTIONS = {function: name for name, function, *_ in _TORCH if function}

# By dotted name, of classes and of functions.
LOSSES: dict[str, Loss] = {}


def register_class(name: str, loss: Loss) -> None:
    """A class whose objects are the loss."""
    LOSSES[name] = loss
    CONSTRUCTORS[name] = _construct


def register_function(name: str, loss: Loss) -> None:
    """A function that is the loss."""
    LOSSES[name] = loss
    EXTERNALS[name] = _call_function


def _construct(call: Call) -> Value:
    loss = LOSSES[call.name]
    criterion = call.object(loss.parameters)
    call.interpreter.emit(Built(call.node, call.frame, loss, criterion))
    return criterion


def _call_function(call: Call) -> Value:
    loss = LOSSES[call.name]
    return call_loss(loss, call.name, call, call.bound(loss.parameters), None)


def call_criterion(criterion: Object, call: Call) -> Value:
    """A loss object is called."""
    return call_loss(LOSSES[criterion.name], criterion.name, call, criterion.options, criterion)


def call_loss(
    loss: Loss, name: str, call: Call, options: dict[str, Value], criterion: Object | None
) -> Value:
    """A loss takes its input and target; what comes back is the loss of a batch or of each example."""
    value = call.get(*loss.input)
    target = call.given(*loss.target)
    event = LossCall(call.node, call.frame, loss, name.rpartition(".")[2], value, target, options, criterion)
    call.interpreter.emit(event)
    reduction = event.option("reduction", loss.reduction)
    for old, meaning in (("size_average", "sum"), ("reduce", "none")):
        if event.option(old) is False:
            reduction = meaning
    made = call.made(name.rpartition(".")[2])
    if reduction == "none":
        return Tensor("per_example", made, dtype="float", marks=frozenset((loss.family,)))
    if reduction in ("mean", "sum"):
        marks = {loss.family}
        ignored = event.option("ignore_index")
        if ignored is not None:
            marks.add("ignore_index")
        if loss.family == "nll" and not all(
            isinstance(one, Tensor) and one.kind == "log_probs" for one in alternatives(value)
        ):
            marks.add("of an unknown base")
        return Figure("loss" if reduction == "mean" else "loss_sum", made, "nats", frozenset(marks))
    return UNKNOWN


def loss_of(value: Value) -> Object | None:
    """The loss object that a value is, or that an object of a subclass is."""
    if isinstance(value, Instance):
        value = value.base if value.base is not None else UNKNOWN
    return value if isinstance(value, Object) and value.name in LOSSES else None


for _class, _function, _family, _kind, _parameters in _TORCH:
    register_class(f"torch.nn.{_class}", Loss(_family, _kind, parameters=_parameters))
    if _function:
        register_function(
            f"torch.nn.functional.{_function}",
            Loss(_family, _kind, parameters=("input", "target", *_parameters)),
        )
register_class("torch.nn.GaussianNLLLoss", Loss("gaussian", "values"))
