"""`torch.nn`'s loss modules over `likelihead.functional`, and those that torch does not have."""

from likelihead.nn.drop_ins import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    MSELoss,
    MultiLabelSoftMarginLoss,
    NLLLoss,
)
from likelihead.nn.focal import BinaryFocalLoss, FocalLoss
from likelihead.nn.linear import LinearCrossEntropyLoss
from likelihead.nn.overlap import (
    DiceLoss,
    FocalTverskyLoss,
    JaccardLoss,
    LovaszLoss,
    OverlapLoss,
    TverskyLoss,
)

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "BinaryFocalLoss",
    "CrossEntropyLoss",
    "DiceLoss",
    "FocalLoss",
    "FocalTverskyLoss",
    "GaussianNLLLoss",
    "JaccardLoss",
    "LinearCrossEntropyLoss",
    "LovaszLoss",
    "MSELoss",
    "MultiLabelSoftMarginLoss",
    "NLLLoss",
    "OverlapLoss",
    "TverskyLoss",
]
