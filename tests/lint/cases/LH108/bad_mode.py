"""A model that applies the sigmoid outside of training only, and who says in which mode it is."""

import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 1)

    def forward(self, x):
        out = self.fc(x)
        return out if self.training else torch.sigmoid(out)


class Runner:
    def __init__(self):
        self.net = Net()

    def train(self, batches):
        for x, y in batches:
            self.net.train()
            F.binary_cross_entropy(self.net(x), y).backward()  # expect: LH108

    def fit(self, x, y, frozen):
        self.net.train(False)
        self.net.train(mode=True)
        return F.binary_cross_entropy(self.net(x), y)  # expect: LH108
