import torch
import torch.nn.functional as F
from torch import nn


def functional(scores, target):
    return F.binary_cross_entropy(torch.sigmoid(scores), target)  # expect: LH109


discriminator = nn.Sequential(nn.Linear(64, 1), nn.Sigmoid())
adversarial = nn.BCELoss()


def generator_loss(fake):
    return adversarial(discriminator(fake), torch.ones(len(fake), 1))  # expect: LH109


def clamped(scores, target):
    return F.binary_cross_entropy(scores.sigmoid().clamp(1e-6, 1 - 1e-6), target)  # expect: LH109
