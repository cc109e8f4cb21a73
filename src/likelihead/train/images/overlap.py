"""The overlap loss that a segmentation may be trained with, beside its NLL."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from likelihead import functional
from likelihead.errors import OptionError
from likelihead.train.config import TrainConfig
from likelihead.train.images.schema import IGNORE, ImageSchema
from likelihead.train.options import BY_NAME

__all__ = ["check_overlap_options", "overlap_loss", "overlap_words"]

_LOSSES: dict[str, Callable[..., Tensor]] = {
    "dice": functional.dice_loss,
    "jaccard": functional.jaccard_loss,
    "tversky": functional.tversky_loss,
    "focal-tversky": functional.focal_tversky_loss,
    "lovasz": functional.lovasz_loss,
}
# Misses count more than false alarms: with 1/2 each it would be Dice.
_BALANCE = {"tversky": {"alpha": 0.3, "beta": 0.7}}


def check_overlap_options(config: TrainConfig) -> None:
    """Refuse a weight of nothing.

    Raises:
        OptionError: --overlap-weight without --overlap.
    """
    if config.overlap == "none" and config.overlap_weight != BY_NAME["overlap_weight"].default:
        raise OptionError(
            f"--overlap-weight {config.overlap_weight:g} weighs an overlap loss, and there is none; give "
            "--overlap dice, or leave it out"
        )


def overlap_loss(config: TrainConfig, schema: ImageSchema, logits: Tensor, classes: Tensor) -> Tensor:
    """The loss of the labelled pixels of a batch, taken as one, over the classes that occur in it.

    Args:
        config: names the loss.
        schema: tells whether there is one logit.
        logits: ``[B, K, H, W]``.
        classes: ``[B, H, W]``.
    """
    return _LOSSES[config.overlap](
        logits,
        classes,
        from_logits=True,
        task="binary" if schema.is_binary else "multiclass",
        ignore_index=IGNORE,
        **_BALANCE.get(config.overlap, {}),
    )


def overlap_words(config: TrainConfig) -> str:
    """What is added to the NLL, in words: ``"0.5 Dice loss"``; empty if nothing is."""
    if config.overlap == "none":
        return ""
    name = {"focal-tversky": "focal Tversky", "lovasz": "Lovász"}.get(config.overlap, config.overlap.title())
    return f"{config.overlap_weight:g} {name} loss"
