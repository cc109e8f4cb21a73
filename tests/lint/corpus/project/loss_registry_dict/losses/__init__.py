from torch import nn

from .focal import FocalLoss

LOSSES = {
    "ce": nn.CrossEntropyLoss,
    "nll": nn.NLLLoss,
    "focal": FocalLoss,
}


def get_loss(name, **kwargs):
    if name not in LOSSES:
        raise KeyError(f"unknown loss {name!r}, choose from {sorted(LOSSES)}")
    return LOSSES[name](**kwargs)
