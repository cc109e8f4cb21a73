import torch
import torch.nn.functional as F
from torch import nn


def likelihood(scores, target):
    return F.nll_loss(torch.log(F.softmax(scores, dim=1)), target)  # expect: LH110


def entropy(scores):
    p = scores.softmax(dim=-1)
    return -(p * p.log()).sum(dim=-1)  # expect: LH110


def hidden_infinity(scores, target):
    log_probs = (torch.softmax(scores, dim=1) + 1e-8).log()  # expect: LH110
    return F.nll_loss(log_probs, target)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x):
        return self.softmax(self.fc(x))


def divergence(x, target):
    clamped = Net()(x).clamp(min=1e-7)
    return F.kl_div(torch.log(clamped), target)  # expect: LH110
