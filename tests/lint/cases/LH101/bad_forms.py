"""A softmax in every form it is written in, before a cross-entropy in every form."""

import torch
import torch.nn.functional as F
from torch import nn


def functional(scores, target):
    return F.cross_entropy(F.softmax(scores, dim=1), target)  # expect: LH101


def method(scores, target):
    return nn.CrossEntropyLoss(label_smoothing=0.1)(scores.softmax(-1), target)  # expect: LH101


def implicit(scores, target):
    return F.cross_entropy(F.softmax(scores), target, reduction="none").mean()  # expect: LH101


def by_hand(scores, target):
    exps = torch.exp(scores - scores.max(dim=1, keepdim=True).values)
    probs = exps / exps.sum(dim=1, keepdim=True)
    return F.cross_entropy(probs, target)  # expect: LH101


def kept(scores, target):
    probs = torch.softmax(scores, dim=1).clamp(1e-7, 1 - 1e-7).float().contiguous()
    return F.cross_entropy(probs.view(-1, 7), target.view(-1))  # expect: LH101


def exp_of_log(scores, target):
    return F.cross_entropy(F.log_softmax(scores, dim=1).exp(), target)  # expect: LH101


def on_each_way(scores, target, cold):
    probs = (scores / 0.5).softmax(dim=1) if cold else scores.softmax(dim=1)
    return F.cross_entropy(probs, target)  # expect: LH101


class Ensemble(nn.Module):
    def __init__(self, members):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.last = nn.Softmax(dim=-1)

    def forward(self, x):
        return torch.stack([self.last(member(x)) for member in self.members]).mean(dim=0)


ensemble = Ensemble(nn.Linear(4, 3) for _ in range(5))
criterion = {"ce": nn.CrossEntropyLoss(), "mse": nn.MSELoss()}["ce"]
loss = criterion(ensemble(torch.randn(8, 4)), torch.randint(3, (8,)))  # expect: LH101
