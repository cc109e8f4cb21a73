"""Losses of overlapping regions, for segmentation: the input, the sums, the mean, and each family."""

from likelihead.functional.overlap.lovasz import lovasz_loss
from likelihead.functional.overlap.tversky import dice_loss, focal_tversky_loss, jaccard_loss, tversky_loss

__all__ = ["dice_loss", "focal_tversky_loss", "jaccard_loss", "lovasz_loss", "tversky_loss"]
