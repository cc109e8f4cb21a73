"""Forms of older programs: ``__call__`` by name, and layers added up by ``reduce``."""

import operator
from functools import reduce

from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.scores = nn.Linear(64, 5)
        self.softmax = nn.Softmax()

    def forward(self, x):
        return self.softmax(self.scores(x))

    def use_loss(self, loss):
        self.loss = loss

    def run(self, loader):
        for x, y in loader:
            y_pred = self.__call__(x)
            self.loss(y_pred, y).backward()  # expect: LH104


def train(loader):
    tagger = Tagger()
    tagger.use_loss(nn.NLLLoss())
    tagger.run(loader)


def deep(sizes, loader):
    layers = reduce(operator.add, [[nn.Linear(a, b), nn.ReLU()] for a, b in zip(sizes[:-2], sizes[1:-1])])
    layers += [nn.Linear(sizes[-2], sizes[-1]), nn.Softmax(dim=1)]
    net = nn.Sequential(*layers)
    for x, y in loader:
        nn.functional.nll_loss(net(x), y).backward()  # expect: LH104
