"""timm: its models give logits, unless they are asked for features; its losses take logits."""

from __future__ import annotations

from likelihead.lint.knowledge.call import FLAT, Call, external
from likelihead.lint.knowledge.losses import Loss, register_class
from likelihead.lint.knowledge.networks import logits, network
from likelihead.lint.values import UNKNOWN, Value

__all__: list[str] = []

FLAT.update(("timm.loss", "timm.utils"))


@external("timm.create_model", "timm.models.create_model", "timm.models.factory.create_model")
def _create_model(call: Call) -> Value:
    count = call.given(9, "num_classes")
    features = call.const(9, "features_only", False), call.const(9, "global_pool", "avg")
    if "**" in call.kwargs or features[0] is not False or features[1] in ("", ...):
        return UNKNOWN
    if count is not None and call.const(9, "num_classes") == 0:
        return UNKNOWN
    name = call.const(0, "model_name")
    return network(call, logits(call, name if isinstance(name, str) else "create_model()", count))


@external("timm.utils.ModelEma", "timm.utils.ModelEmaV2", "timm.utils.ModelEmaV3")
def _averaged(call: Call) -> Value:
    """A copy of the model under ``.module``, which stands for the model itself here."""
    return call.get(0, "model")


# The family of each loss, and its parameters by position.
_LOSSES: dict[str, tuple[str, tuple[str, ...]]] = {
    "LabelSmoothingCrossEntropy": ("cross_entropy", ("smoothing",)),
    "SoftTargetCrossEntropy": ("cross_entropy", ()),
    "JsdCrossEntropy": ("cross_entropy", ("num_splits", "alpha", "smoothing")),
    "PolyCrossEntropy": ("cross_entropy", ()),
    "AsymmetricLossSingleLabel": ("cross_entropy", ("gamma_pos", "gamma_neg", "eps", "reduction")),
    "BinaryCrossEntropy": ("bce_with_logits", ("smoothing", "target_threshold")),
    "PolyBinaryCrossEntropy": ("focal_with_logits", ()),
    "AsymmetricLossMultiLabel": ("focal_with_logits", ()),
}
for _name, (_family, _parameters) in _LOSSES.items():
    register_class(f"timm.loss.{_name}", Loss(_family, "logits", (0, "x"), (1, "target"), _parameters))
