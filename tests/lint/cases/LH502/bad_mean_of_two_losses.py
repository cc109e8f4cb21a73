"""Each round adds the mean of two losses up, and the step comes on each fourth round only."""

import torch
import torch.nn.functional as F


def both_ways(scores):
    places = torch.arange(len(scores))
    return (F.cross_entropy(scores, places) + F.cross_entropy(scores.t(), places)) / 2


def blend(scores, other, y, share):
    return share * F.cross_entropy(scores, y) + (1 - share) * F.cross_entropy(other, y)


def train(model, optimizer, loader):
    for i, (images, captions) in enumerate(loader):
        loss = both_ways(model(images, captions))
        loss.backward()  # expect: LH502
        if (i + 1) % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()


def train_both(model, other, optimizer, loader, share):
    for i, (x, y) in enumerate(loader):
        blend(model(x), other(x), y, share).backward()  # expect: LH502
        if (i + 1) % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()


def train_by_name(model, optimizer, loader, every):
    for i, (x, y) in enumerate(loader):
        F.cross_entropy(model(x), y).backward()  # expect: LH502
        full = (i + 1) % every == 0
        if full:
            optimizer.step()
            optimizer.zero_grad()
