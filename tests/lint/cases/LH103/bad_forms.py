import torch
import torch.nn.functional as F
from torch import nn


def functional(scores, target):
    return F.cross_entropy(F.log_softmax(scores, dim=1), target)  # expect: LH103


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 4)
        self.out = nn.LogSoftmax(dim=-1)

    def forward(self, x):
        return self.out(self.head(x))


criterion = nn.CrossEntropyLoss()


def step(x, y):
    log_probs = Net()(x)
    return criterion(log_probs, y)  # expect: LH103


def by_hand(x, y):
    logits = nn.Linear(6, 4)(x)
    return F.cross_entropy(logits - torch.logsumexp(logits, dim=1, keepdim=True), y)  # expect: LH103
