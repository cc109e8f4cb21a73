"""A model that applies the sigmoid outside of training only, where that is, or where it is not known."""

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

    def train(self, x, y):
        self.net.train()
        return F.binary_cross_entropy_with_logits(self.net(x), y)

    def either(self, x, y, training):
        if training:
            self.net.train()
        return F.binary_cross_entropy(self.net(x), y)

    def told(self, x, y, training):
        self.net.train(training)
        return F.binary_cross_entropy(self.net(x), y)

    def test(self, x):
        self.net.eval()
        return self.net(x) > 0.5

    def unknown(self, x, y):
        return F.binary_cross_entropy(self.net(x), y)
