"""Rows that no index can say, and one-hot rows where a loss needs them."""

import torch
import torch.nn.functional as F
from torch import nn

CLASSES = 5


def smoothed(net, x, y):
    rows = torch.full((len(y), CLASSES), 0.1 / CLASSES)
    rows.scatter_(1, y.unsqueeze(1), 0.9)
    return F.cross_entropy(net(x), rows)


def mixed(net, x, y, other, lam):
    rows = lam * F.one_hot(y, CLASSES).float() + (1 - lam) * F.one_hot(other, CLASSES).float()
    return nn.CrossEntropyLoss()(net(x), rows)


def several_labels(net, x, labels):
    rows = torch.zeros(len(x), CLASSES).scatter_(1, labels, 1.0)
    return F.binary_cross_entropy_with_logits(net(x), rows)


def written_afterwards(net, x, y, soft):
    rows = torch.zeros(len(y), CLASSES)
    rows[:4] = soft
    rows.scatter_(1, y.unsqueeze(1), 1.0)
    return F.cross_entropy(net(x), rows)


def indices_again(net, x, y):
    rows = F.one_hot(y, CLASSES).float()
    return F.cross_entropy(net(x), rows.argmax(dim=1))


def squared(net, x, y):
    return F.mse_loss(net(x).softmax(dim=1), torch.eye(CLASSES)[y])
