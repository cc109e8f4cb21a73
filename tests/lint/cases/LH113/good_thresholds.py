import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(9, 1)
regressor = nn.Linear(9, 1)
scorer = nn.Linear(9, 1)
paired = nn.Linear(9, 1)


def train(x, y):
    return F.binary_cross_entropy_with_logits(net(x), y) + F.mse_loss(regressor(x), y)


def evaluate(x):
    zero = net(x) > 0
    chosen = net(x) > 1.2
    linked = torch.sigmoid(net(x)) > 0.5
    return zero, chosen, linked, regressor(x) > 0.5, scorer(x) > 0.5


def rank(x, z):
    loss = F.binary_cross_entropy_with_logits(paired(x) - paired(z), torch.ones(len(x), 1))
    return loss, (paired(x) - paired(z)) > 0.5


def numbers(x, y):
    out = scorer(x)
    return F.mse_loss(out, y), F.binary_cross_entropy_with_logits(out, (y > 0.5).float()), out > 0.5
