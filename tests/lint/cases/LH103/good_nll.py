"""Log-probabilities where they belong, and one of another dimension."""

import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, log=True):
        super().__init__()
        self.head = nn.Linear(6, 4)
        self.log = log

    def forward(self, x):
        out = self.head(x)
        return F.log_softmax(out, dim=1) if self.log else out


def steps(x, y):
    return F.nll_loss(Net()(x), y), F.cross_entropy(Net(log=False)(x), y)


def distil(scores, teacher):
    log_probs = F.log_softmax(scores / 2.0, dim=1)
    return F.kl_div(log_probs, F.log_softmax(teacher / 2.0, dim=1), log_target=True)


def both_ways(similarity, target):
    return F.cross_entropy(F.log_softmax(similarity, dim=0), target)
