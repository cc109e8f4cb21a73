"""The probabilities are wanted besides the loss: they stay, and the loss takes the logits."""

import torch
from torch import nn

criterion = nn.CrossEntropyLoss()
seen = []


def step(scores, target):
    probs = torch.softmax(scores, dim=1)
    loss = criterion(probs, target)  # expect: LH101
    seen.append(probs.detach())
    return loss
