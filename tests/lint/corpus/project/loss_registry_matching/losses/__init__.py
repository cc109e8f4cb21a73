from torch import nn

from .focal import FocalLoss

_REGISTRY = {}


def register(name, factory):
    _REGISTRY[name] = factory


def get_loss(name, **kwargs):
    return _REGISTRY[name](**kwargs)


register("ce", nn.CrossEntropyLoss)
register("nll", nn.NLLLoss)
register("bce", nn.BCELoss)
register("focal", FocalLoss)
