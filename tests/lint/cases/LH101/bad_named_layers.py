"""Layers by name, of which some are only there in some networks."""

import torch.nn.functional as F
from torch import nn


class Branches(nn.Module):
    def __init__(self, layers, stride):
        super().__init__()
        self.path = nn.Sequential()
        if stride > 1:
            self.path.add_module("down", layers[0])
            self.path.add_module("norm", layers[1])
        self.path.add_module("proj", nn.Linear(16, 4))
        self.path.add_module("act", nn.Softmax(dim=1))

    def forward(self, x):
        return self.path.act(self.path.proj(x))


def train(layers, stride, x, y):
    return F.cross_entropy(Branches(layers, stride)(x), y)  # expect: LH101
