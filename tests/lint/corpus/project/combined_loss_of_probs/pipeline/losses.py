import torch
import torch.nn as nn


def soft_dice(logits, target, eps=1.0):
    p = torch.sigmoid(logits)
    overlap = (p * target).sum(dim=(1, 2, 3))
    size = p.sum(dim=(1, 2, 3)) + target.sum(dim=(1, 2, 3))
    return 1 - ((2 * overlap + eps) / (size + eps)).mean()


class CombinedLoss(nn.Module):
    def __init__(self, dice_weight=1.0):
        super().__init__()
        self.bce = nn.BCEWithLogitsLoss()
        self.dice_weight = dice_weight

    def forward(self, pred, target):
        bce = self.bce(pred, target)  # expect: LH106
        dice = soft_dice(pred, target)  # allow: LH115
        return bce + self.dice_weight * dice
