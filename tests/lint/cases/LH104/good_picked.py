"""`nll_loss` that picks the probability of the target, and log-probabilities."""

import torch
import torch.nn.functional as F


def expected_error(scores, target):
    return 1 + F.nll_loss(scores.softmax(dim=1), target)


def expected_hits(scores, target):
    return -F.nll_loss(scores.softmax(dim=1), target)


def generalised(scores, target, q=0.7):
    picked = -F.nll_loss(scores.softmax(dim=1), target, reduction="none")
    return ((1 - picked**q) / q).mean()


def absolute(scores, target):
    negative = F.nll_loss(scores.softmax(dim=1), target, reduction="none")
    return (1 + negative).mean()


def turned(scores, target):
    picked = F.nll_loss(scores.softmax(dim=1), target)
    return 1 + picked


def each_log(scores, target):
    picked = -F.nll_loss(scores.softmax(dim=1), target, reduction="none")
    return -torch.log(picked + 1e-8).mean()


def right(scores, target):
    return F.nll_loss(scores.log_softmax(dim=1), target)
