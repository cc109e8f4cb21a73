"""A copy gives what the copied network gives, and what it was given since."""

import copy

import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.ModuleList([copy.deepcopy(nn.Linear(8, 8)) for _ in range(3)])
        self.head = nn.Sequential(nn.Linear(8, 3), nn.Softmax(dim=1))

    def forward(self, x):
        for layer in self.body:
            x = layer(x).relu()
        return self.head(x)


def averaged(x, y):
    net = Net()
    ema = copy.deepcopy(net).eval()
    return F.cross_entropy(ema(x), y)  # expect: LH101


def with_a_softmax(x, y):
    net = nn.Sequential(nn.Linear(8, 3))
    longer = copy.deepcopy(net)
    longer.append(nn.Softmax(dim=1))
    return F.cross_entropy(longer(x), y)  # expect: LH101
