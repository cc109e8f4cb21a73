"""segmentation-models-pytorch: models end in the activation that they are told; losses take logits.

Unless they are told otherwise. The old ones of ``smp.utils.losses`` take probabilities unless they are
given an activation.
"""

from __future__ import annotations

from likelihead.lint.knowledge.call import FLAT, Call, external
from likelihead.lint.knowledge.losses import Loss, register_class
from likelihead.lint.knowledge.networks import logits, network
from likelihead.lint.knowledge.switched import register_switched
from likelihead.lint.knowledge.trained import meet, output_of
from likelihead.lint.values import UNKNOWN, Const, External, Tensor, Value, constant

__all__: list[str] = []

_SMP = "segmentation_models_pytorch"
FLAT.update((f"{_SMP}.losses", f"{_SMP}.utils.losses", "pytorch_toolbelt.losses"))

_MODELS = (
    "Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "PAN", "DeepLabV3", "DeepLabV3Plus",
    "UPerNet",
    "Segformer", "DPT",
)  # fmt: skip
# What the output is after an activation, and the dimension that it runs over.
_ACTIVATIONS = {
    "sigmoid": ("sigmoid", None), "softmax2d": ("probs", 1), "softmax": ("probs", None),
    "logsoftmax": ("log_probs", None),
}  # fmt: skip


@external(*(f"{_SMP}.{name}" for name in _MODELS), f"{_SMP}.create_model")
def _model(call: Call) -> Value:
    name = call.name.rpartition(".")[2]
    if call.const(9, "aux_params", None) is not None or "**" in call.kwargs:
        return UNKNOWN  # it gives a mask and a label
    given = call.given(9, "activation")
    activation = _activation(given)
    output: Tensor = logits(call, f"{name} model", call.given(9, "classes") or 1, 4)
    if activation in _ACTIVATIONS:
        kind, dim = _ACTIVATIONS[activation]
        made = call.made(f"{name}(activation={activation!r})")
        return network(call, output.but(kind=kind, dim=dim, made=made))
    return network(call, output) if activation in (None, "identity") else UNKNOWN


@external(f"{_SMP}.utils.train.TrainEpoch", f"{_SMP}.utils.train.ValidEpoch")
def _epoch(call: Call) -> Value:
    """A loop that somebody else has written: model and loss meet in it."""
    criterion = call.given(1, "loss")
    if criterion is not None:
        meet(criterion, output_of(call.get(0, "model"), call), call)
    return UNKNOWN


def _activation(given: Value | None) -> object:
    """The name of an activation, None for none, Ellipsis for one that is not known."""
    if isinstance(given, External):
        return {"torch.nn.Sigmoid": "sigmoid", "torch.nn.Identity": None}.get(given.name, ...)
    return None if given is None else constant(given, ...)


def _of_logits(options: dict[str, Value]) -> str | None:
    """The family of an overlap loss that is told whether it takes logits."""
    told = constant(options.get("from_logits", Const(True)), ...)
    return {True: "overlap_with_logits", False: "overlap"}.get(told) if told is not ... else None


def _activated(options: dict[str, Value]) -> str | None:
    """The family of an overlap loss that is told an activation."""
    activation = _activation(options.get("activation"))
    if activation in ("sigmoid", "softmax2d", "softmax"):
        return "overlap_with_logits"
    return "overlap" if activation in (None, "identity") else None


def _focal_of_logits(options: dict[str, Value]) -> str | None:
    if _of_logits(options) != "overlap_with_logits":
        return None
    one_each = constant(options.get("mode")) in ("binary", "multilabel")
    return "bce_with_logits" if one_each else "focal_with_logits"  # of several classes: one against the rest


_COMMON = ("mode", "classes", "log_loss", "from_logits", "smooth", "ignore_index", "eps")
_INPUT, _TARGET = (0, "y_pred"), (1, "y_true")
for _name in ("DiceLoss", "JaccardLoss", "TverskyLoss"):
    register_switched(f"{_SMP}.losses.{_name}", _COMMON, _of_logits, _INPUT, _TARGET)
for _name in ("DiceLoss", "JaccardLoss"):  # where they come from, and are used on their own
    register_switched(f"pytorch_toolbelt.losses.{_name}", _COMMON, _of_logits, _INPUT, _TARGET)
register_switched(f"{_SMP}.losses.FocalLoss", ("mode", "alpha", "gamma"), _focal_of_logits, _INPUT, _TARGET)
for _name in ("DiceLoss", "JaccardLoss"):
    register_switched(
        f"{_SMP}.utils.losses.{_name}",
        ("eps", "activation") if _name == "JaccardLoss" else ("eps", "beta", "activation"),
        _activated, (0, "y_pr"), (1, "y_gt"),
    )  # fmt: skip
register_class(
    f"{_SMP}.losses.SoftBCEWithLogitsLoss",
    Loss(
        "bce_with_logits", "logits", _INPUT, _TARGET,
        ("weight", "ignore_index", "reduction", "smooth_factor", "pos_weight"),
    ),
)  # fmt: skip
register_class(
    f"{_SMP}.losses.SoftCrossEntropyLoss",
    Loss("cross_entropy", "logits", _INPUT, _TARGET, ("reduction", "smooth_factor", "ignore_index", "dim")),
)
register_class(f"{_SMP}.utils.losses.CrossEntropyLoss", Loss("cross_entropy", "logits"))
register_class(f"{_SMP}.utils.losses.NLLLoss", Loss("nll", "log-probabilities"))
register_class(f"{_SMP}.utils.losses.BCELoss", Loss("bce", "probabilities"))
register_class(f"{_SMP}.utils.losses.BCEWithLogitsLoss", Loss("bce_with_logits", "logits"))
