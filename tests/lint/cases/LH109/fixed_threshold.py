"""The probabilities are compared with one half: they stay, and their logits are given a name."""

import torch
from torch.nn import BCEWithLogitsLoss, Linear

model = Linear(3, 3)
criterion = BCEWithLogitsLoss()


def step(x, target):
    logits = model(x)
    out = torch.sigmoid(logits)
    loss = criterion(logits, target)
    correct = (out > 0.5).float() == target
    return loss + 0 * correct.sum()
