"""The libraries around torch of which something is known. Importing them fills the tables."""

from __future__ import annotations

from likelihead.lint.knowledge import kornia, monai, smp, timm, torchvision

__all__ = ["LIBRARIES"]

LIBRARIES = (kornia, monai, smp, timm, torchvision)
