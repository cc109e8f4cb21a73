"""Logits that are rounded to the class."""

import torch
import torch.nn.functional as F
from torch import nn

model = nn.Linear(7, 1)


def train(x, y):
    return F.binary_cross_entropy_with_logits(model(x).squeeze(1), y)


@torch.no_grad()
def accuracy(x, y):
    flags = torch.round(model(x)).squeeze(1)  # expect: LH113
    return (flags == y).float().mean()


@torch.no_grad()
def right(x, y):
    flags = torch.sigmoid(model(x)).round().squeeze(1)
    print(model(x).round(decimals=2))
    return (flags == y).float().mean()
