import torch
import torch.nn.functional as F
from torch import nn


def functional(scores, target):
    return F.cross_entropy(torch.sigmoid(scores), target)  # expect: LH102


def by_hand(scores, target):
    return F.cross_entropy(1 / (1 + torch.exp(-scores)), target)  # expect: LH102


net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.Sigmoid())
criterion = nn.CrossEntropyLoss()


def step(x, y):
    return criterion(net(x), y)  # expect: LH102


def two_columns(x, y):
    p = torch.sigmoid(nn.Linear(4, 2)(x))
    return criterion(p[:, :2], y)  # expect: LH102
