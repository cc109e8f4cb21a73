"""Softmaxes whose first dimension is the right one."""

import torch
import torch.nn.functional as F
from torch import nn


class TimeFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(8, 8)
        self.score = nn.Linear(8, 1)

    def forward(self, x):
        states, _ = self.gru(x)
        weights = torch.softmax(self.score(states), dim=0)
        return (weights * states).sum(dim=0)


class Turned(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(8, 8, batch_first=True)
        self.score = nn.Linear(8, 1)

    def forward(self, x):
        states = self.gru(x)[0].transpose(0, 1)
        return (torch.softmax(self.score(states), dim=0) * states).sum(dim=0)


def both_ways(images, texts):
    similarity = images @ texts.T
    target = torch.arange(len(similarity))
    rows = F.nll_loss(F.log_softmax(similarity, dim=1), target)
    return rows + F.nll_loss(F.log_softmax(similarity, dim=0).T, target)


head = nn.Linear(6, 3)


def one_example(x, y):
    log_probs = F.log_softmax(head(x), dim=0)
    return F.nll_loss(log_probs.unsqueeze(0), y), log_probs.argmax(-1)


def classes_first(y):
    scores = head(torch.randn(8, 6)).t()
    return F.nll_loss(F.log_softmax(scores, dim=0).t(), y)


def implicit(x, y):
    return F.nll_loss(F.log_softmax(head(torch.randn(8, 6))), y)


def channels_last(image, y):
    scores = nn.Conv2d(3, 5, 1)(image).permute(0, 2, 3, 1)
    return F.nll_loss(F.log_softmax(scores, dim=-1).reshape(-1, 5), y)


def channels(image, y):
    return F.nll_loss(nn.LogSoftmax(dim=1)(nn.Conv2d(3, 5, 1)(image)), y)


def best_example_of_each_class(y):
    """Not square: the examples compete for each class, and the loss only picks."""
    log_probs = nn.Linear(16, 5)(torch.randn(8, 16)).log_softmax(0)
    return F.nll_loss(log_probs, y, reduction="none").mean()


def turned_and_turned_back(x, y):
    log_probs = F.log_softmax(nn.Linear(8, 5)(x).t(), dim=0)
    return F.nll_loss(log_probs.t(), y)


def each_column(images, captions):
    scores = nn.Linear(16, 8)(images).t()
    return F.nll_loss(F.log_softmax(scores, dim=0), torch.arange(8)), captions
