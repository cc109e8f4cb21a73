"""Class weights as the weight of a binary loss, or of another length than there are classes."""

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight
from torch import nn


class Net(nn.Module):
    def __init__(self, n_out):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(9, 20), nn.ReLU(), nn.Linear(20, n_out))

    def forward(self, x):
        return self.fc(x)


class Trainer:
    def __init__(self, labels):
        weights = compute_class_weight(class_weight="balanced", classes=np.array([0, 1]), y=labels)
        self.net = Net(1)
        self.criterion = nn.BCEWithLogitsLoss(weight=torch.FloatTensor(weights))  # expect: LH602

    def step(self, x, y):
        return self.criterion(self.net(x), y)


def one_column(x, y):
    return F.binary_cross_entropy_with_logits(Net(1)(x), y, weight=torch.tensor([1.0, 5.0]))  # expect: LH602


def one_number_each(x, y):
    weight = torch.tensor([0.3, 0.7])
    criterion = nn.BCEWithLogitsLoss(weight=weight)  # expect: LH602
    return criterion(Net(1)(x).view(-1), y)


def too_few(x, y):
    counts = torch.tensor([120.0, 40.0, 9.0])
    weight = 1.0 / counts
    criterion = nn.CrossEntropyLoss(weight=weight / weight.sum())  # expect: LH602
    return criterion(Net(4)(x), y)


def too_many(images, masks):
    weight = torch.ones(4)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1))
    return F.cross_entropy(net(images), masks, weight=weight)  # expect: LH602
