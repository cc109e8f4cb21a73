"""Probabilities that no sigmoid made."""

import torch
import torch.nn.functional as F
from torch import nn


def clamped(x, y):
    return F.binary_cross_entropy(nn.Linear(3, 1)(x).clamp(0, 1), y)


def distance(a, b, y):
    return F.binary_cross_entropy(torch.exp(-(a - b).pow(2).sum(dim=1)), y)


def shifted(x, y):
    return F.binary_cross_entropy((torch.tanh(nn.Linear(3, 1)(x)) + 1) / 2, y)


def from_softmax(scores, y):
    return F.binary_cross_entropy(scores.softmax(dim=1)[:, 1], y)


class Switched(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 1)

    def forward(self, x):
        out = self.fc(x)
        if not self.training:
            out = torch.sigmoid(out)
        return out


def evaluate(model: Switched, x, y):
    return F.binary_cross_entropy(Switched()(x), y)
