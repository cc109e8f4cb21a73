"""The libraries around torch of which something is known. Importing them fills the tables."""

from __future__ import annotations

from likelihead.lint.knowledge import (
    fastai,
    graphs,
    keras,
    kornia,
    lightning,
    monai,
    own,
    skorch,
    smp,
    timm,
    torchvision,
    training,
    transformers,
    wrappers,
)

__all__ = ["LIBRARIES"]

LIBRARIES = (
    fastai,
    graphs,
    keras,
    kornia,
    lightning,
    monai,
    own,
    skorch,
    smp,
    timm,
    torchvision,
    training,
    transformers,
    wrappers,
)
