"""kornia: the losses of segmentation take logits and apply the softmax or sigmoid themselves."""

from __future__ import annotations

from likelihead.lint.knowledge.call import FLAT
from likelihead.lint.knowledge.losses import Loss, register_class, register_function

__all__: list[str] = []

FLAT.add("kornia.losses")

# The class, the function, and their family.
_LOSSES = (
    ("DiceLoss", "dice_loss", "overlap_with_logits"),
    ("TverskyLoss", "tversky_loss", "overlap_with_logits"),
    ("LovaszSoftmaxLoss", "lovasz_softmax_loss", "overlap_with_logits"),
    ("FocalLoss", "focal_loss", "cross_entropy"),
    ("BinaryFocalLossWithLogits", "binary_focal_loss_with_logits", "focal_with_logits"),
)
for _class, _function, _family in _LOSSES:
    _reduction = "none" if "Focal" in _class else "mean"
    _loss = Loss(_family, "logits", (0, "pred"), (1, "target"), reduction=_reduction)
    register_class(f"kornia.losses.{_class}", _loss)
    register_function(f"kornia.losses.{_function}", _loss)
