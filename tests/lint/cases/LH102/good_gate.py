"""Sigmoids that gate, predict or are the target."""

import torch
import torch.nn.functional as F
from torch import nn


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.value, self.gate = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x):
        return self.value(x) * torch.sigmoid(self.gate(x))


net = Gated()


def step(x, y):
    out = net(x)
    loss = F.cross_entropy(out, y)
    return loss, torch.sigmoid(out).max()


def soft(x, scores):
    return F.cross_entropy(net(x), torch.sigmoid(scores))
