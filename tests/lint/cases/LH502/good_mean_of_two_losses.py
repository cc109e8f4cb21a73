"""The mean of two losses, and half of the sum for each of two rounds: the division may be for either."""

import torch.nn.functional as F


def train(model, aux, optimizer, loader):
    for i, (x, y) in enumerate(loader):
        loss = (F.cross_entropy(model(x), y) + F.cross_entropy(aux(x), y)) / 2
        loss.backward()
        if i % 2 == 1:
            optimizer.step()
            optimizer.zero_grad()


def train_quarter(model, aux, optimizer, loader):
    for i, (x, y) in enumerate(loader):
        total = F.cross_entropy(model(x), y) + F.cross_entropy(aux(x), y)
        (total / 4).backward()
        if i % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()
