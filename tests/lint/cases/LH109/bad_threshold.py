"""The probabilities are compared with one half: they stay, and their logits are given a name."""

import torch
from torch.nn import BCELoss, Linear

model = Linear(3, 3)
criterion = BCELoss()


def step(x, target):
    out = torch.sigmoid(model(x))
    loss = criterion(out, target)  # expect: LH109
    correct = (out > 0.5).float() == target
    return loss + 0 * correct.sum()
