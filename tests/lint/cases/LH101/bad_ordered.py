"""Layers by name, of which those before the last are not all known."""

from collections import OrderedDict

import torch.nn.functional as F
from torch import nn


def build(sizes, n_out):
    layers = OrderedDict()
    for i, size in enumerate(sizes):
        layers[f"fc{i}"] = nn.LazyLinear(size)
        layers[f"relu{i}"] = nn.ReLU()
    layers["scores"] = nn.LazyLinear(n_out)
    layers["probs"] = nn.Softmax(dim=1)
    return nn.Sequential(OrderedDict(layers))


def step(x, y, sizes):
    return F.cross_entropy(build(sizes, 3)(x), y)  # expect: LH101
