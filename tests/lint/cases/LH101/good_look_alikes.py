"""A softmax near a cross-entropy that does not take it."""

import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.score = nn.Linear(16, 1)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        weights = F.softmax(self.score(x), dim=1)
        return self.head((weights * x).sum(dim=1))


class Either(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        logits = self.head(x)
        return logits if self.training else logits.softmax(dim=1)


def step(net, x, y):
    return F.cross_entropy(net(x), y)


def run(x, y):
    loss = step(Attention(), x, y) + step(Either(), x[:, 0], y)
    logits = Attention()(x)
    probs = logits.softmax(dim=1)
    print(probs.max())
    return loss + F.cross_entropy(logits, y)


def soft_target(scores, teacher):
    return F.cross_entropy(scores, teacher.softmax(dim=1))


def back_to_logits(scores, target):
    probs = scores.softmax(dim=1)
    return F.cross_entropy(probs * 30.0, target)


def another_name(scores, target):
    out = scores.softmax(dim=1)
    confidence = out.max()
    out = scores
    return F.cross_entropy(out, target), confidence
