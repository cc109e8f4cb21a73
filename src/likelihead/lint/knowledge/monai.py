"""MONAI: networks give logits; an overlap loss takes probabilities unless told otherwise."""

from __future__ import annotations

from likelihead.lint.knowledge.call import FLAT, Call, external
from likelihead.lint.knowledge.networks import logits, network
from likelihead.lint.knowledge.switched import register_switched
from likelihead.lint.values import UNKNOWN, Const, Value, constant

__all__: list[str] = []

FLAT.update(("monai.losses", "monai.networks.nets", "monai.inferers"))

# Networks that end in a convolution or an affine layer. Those with a final activation of their own (ViT)
# or several
# outputs (DynUNet with deep supervision, SegResNetVAE, BasicUNetPlusPlus) are not there.
_SEGMENTATION = (
    "UNet", "Unet", "BasicUNet", "BasicUnet", "SegResNet", "UNETR", "SwinUNETR", "AttentionUnet",
    "FlexibleUNet",
    "VNet",
)  # fmt: skip
_CLASSIFICATION = (
    "DenseNet", "DenseNet121", "DenseNet169", "DenseNet201", "DenseNet264", "densenet121", "EfficientNetBN",
    "SEResNet50", "SENet154", "SEResNext50",
)  # fmt: skip


@external(*(f"monai.networks.nets.{name}" for name in (*_SEGMENTATION, *_CLASSIFICATION)))
def _net(call: Call) -> Value:
    name = call.name.rpartition(".")[2]
    size = call.given(9, "out_channels") or call.given(9, "num_classes")
    spatial = call.const(0, "spatial_dims")
    rank = 2 if name in _CLASSIFICATION else 2 + spatial if spatial in (1, 2, 3) else None
    return network(call, logits(call, f"{name} network", size, rank))


@external("monai.inferers.sliding_window_inference")
def _windows(call: Call) -> Value:
    """What the network gives for a window."""
    predictor = call.given(3, "predictor")
    if predictor is None:
        return UNKNOWN
    return call.interpreter.call(predictor, [UNKNOWN], {}, call.node, call.frame)


def _activates(options: dict[str, Value]) -> bool | None:
    """Whether the loss applies a softmax or sigmoid of its own; None where that is not known."""
    told = [constant(options.get(name, Const(False)), ...) for name in ("sigmoid", "softmax")]
    if constant(options.get("other_act", Const(None)), ...) is not None or ... in told:
        return None
    return True in told


def _overlap(options: dict[str, Value]) -> str | None:
    return {True: "overlap_with_logits", False: "overlap"}.get(_activates(options))  # type: ignore[arg-type]


_SWITCHES = ("include_background", "to_onehot_y", "sigmoid", "softmax", "other_act")
for _name in (
    "DiceLoss", "Dice", "dice", "GeneralizedDiceLoss", "generalized_dice", "TverskyLoss", "DiceCELoss",
    "dice_ce",
    "DiceFocalLoss", "dice_focal", "GeneralizedDiceFocalLoss",
):  # fmt: skip
    register_switched(f"monai.losses.{_name}", _SWITCHES, _overlap)


def _focal(options: dict[str, Value]) -> str | None:
    return "focal_with_logits" if constant(options.get("use_softmax", Const(False)), ...) is False else None


register_switched("monai.losses.FocalLoss", ("include_background", "to_onehot_y", "gamma", "alpha"), _focal)
