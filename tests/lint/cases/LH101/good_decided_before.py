"""Which loss it is was decided by the same test that decides what the loss is given."""

import torch
from torch import nn


def by_name(model, loader, soft):
    criterion = nn.MSELoss() if soft else nn.CrossEntropyLoss()
    for x, y in loader:
        scores = model(x)
        if soft:
            loss = criterion(torch.softmax(scores, dim=1), y)
        else:
            loss = criterion(scores, y)
        loss.backward()


def by_statement(model, loader, exclusive):
    if exclusive:
        criterion = nn.CrossEntropyLoss()
    else:
        criterion = nn.BCEWithLogitsLoss()
    for x, y in loader:
        scores = model(x)
        if not exclusive:
            criterion(scores, y).backward()
            continue
        criterion(scores, y).backward()


class ByAttribute:
    def __init__(self, model, kind):
        self.model = model
        self.kind = kind
        self.criterion = nn.MSELoss() if kind == "brier" else nn.CrossEntropyLoss()

    def step(self, x, y):
        scores = self.model(x)
        if self.kind == "brier":
            return self.criterion(scores.softmax(1), y)
        return self.criterion(scores, y)
