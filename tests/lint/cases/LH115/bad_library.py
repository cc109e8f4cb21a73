import torch

from likelihead.functional import dice_loss
from likelihead.nn import FocalTverskyLoss, LovaszLoss


def functional(scores, target):
    return dice_loss(torch.softmax(scores, dim=1), target, from_logits=True)  # expect: LH115


tversky = FocalTverskyLoss(from_logits=True, task="binary")
lovasz = LovaszLoss(from_logits=True)


def modules(scores, target):
    return tversky(scores.sigmoid(), target) + lovasz(scores.softmax(1), target)  # expect: LH115
