"""Overlap losses of the project that are written for probabilities."""

import torch
from torch import nn


def dice_loss(pred, target, smooth=1.0):
    intersection = (pred * target).sum(dim=(1, 2, 3))
    sums = pred.sum(dim=(1, 2, 3)) + target.sum(dim=(1, 2, 3))
    return (1 - (2 * intersection + smooth) / (sums + smooth)).mean()


class SoftIoULoss(nn.Module):
    def forward(self, inputs, targets):
        return 1 - self.score(inputs.view(-1), targets.view(-1))

    def score(self, inputs, targets):
        overlap = torch.sum(inputs * targets)
        return overlap / (inputs.sum() + targets.sum() - overlap)


class TverskyLoss(nn.Module):
    def __init__(self, alpha=0.3):
        super().__init__()
        self.alpha = alpha

    def forward(self, y_pred, y_true):
        tp = y_true * y_pred
        wrong = self.alpha * ((1 - y_true) * y_pred).sum() + (1 - self.alpha) * (y_true * (1 - y_pred)).sum()
        return 1 - tp.sum() / (tp.sum() + wrong)


class BCEDice(nn.Module):
    def __init__(self):
        super().__init__()
        self.bce = nn.BCEWithLogitsLoss()

    def forward(self, logits, mask):
        return self.bce(logits, mask) + dice_loss(logits, mask)  # expect: LH111


net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1))
iou, tversky, combined = SoftIoULoss(), TverskyLoss(), BCEDice()


def train(image, mask):
    first = dice_loss(net(image), mask)  # expect: LH111
    second = iou(net(image), mask)  # expect: LH111
    third = tversky(net(image), mask)  # expect: LH111
    return first + second + third + combined(net(image), mask)


def validate(image, mask):
    return dice_loss(net(image), mask)  # expect: LH111
