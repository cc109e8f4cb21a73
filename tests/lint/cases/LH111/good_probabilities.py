"""Overlap losses with what they expect, and products that are no overlap."""

import torch
from torch import nn

from likelihead.nn import DiceLoss


def dice_loss(pred, target):
    intersection = (pred * target).sum()
    return 1 - 2 * intersection / (pred.sum() + target.sum())


class DiceWithLogits(nn.Module):
    def forward(self, logits, target):
        p = torch.sigmoid(logits)
        return dice_loss(p, target)


def giou_loss(boxes, targets):
    low = torch.max(boxes[:, :2], targets[:, :2])
    high = torch.min(boxes[:, 2:], targets[:, 2:])
    sides = (high - low).clamp(min=0)
    return 1 - sides[:, 0] * sides[:, 1] / (boxes[:, 2] * boxes[:, 3])


def take_indices(scores, mask):
    return (scores * mask).sum()


class Switched(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1)

    def forward(self, x):
        x = self.conv(x)
        return x if self.training else torch.sigmoid(x)


net = nn.Conv2d(3, 1, 1)
own = DiceLoss(from_logits=True, task="binary")


def train(image, mask):
    masked = take_indices(net(image), mask)
    boxes = giou_loss(net(image).flatten(1), mask)
    first = dice_loss(torch.sigmoid(net(image)), mask) + DiceWithLogits()(net(image), mask)
    return first + own(net(image), mask) + masked + boxes + dice_loss(Switched()(image), mask)
