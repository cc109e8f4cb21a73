"""Log-probabilities, of which no overlap is the sum."""

import torch
from torch import nn


def soft_dice(probs, planes, eps=1e-6):
    intersection = (probs * planes).sum((0, 2, 3))
    return 1 - (2 * intersection / ((probs + planes).sum((0, 2, 3)) + eps)).mean()


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(8, 3, 1)

    def forward(self, x):
        return torch.log_softmax(self.head(x), dim=1)


def train(x, planes):
    log_probs = Segmenter()(x)
    right = soft_dice(log_probs.exp(), planes)
    return right + soft_dice(log_probs, planes)  # expect: LH111
