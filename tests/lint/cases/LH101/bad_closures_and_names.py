"""A closure that is handed over, layers under names that are put together, and the children of a network."""

import torch
import torch.nn.functional as F
from torch import nn


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        for i in range(3):
            setattr(self, f"scores{i}", nn.Linear(16, 4))
            self.add_module(f"softmax{i}", nn.Softmax(dim=1))

    def forward(self, x):
        out = {}
        for i in range(3):
            out[f"task{i}"] = getattr(self, f"softmax{i}")(getattr(self, f"scores{i}")(x))
        return out


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.scores = nn.Linear(16, 4)
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x):
        return self.softmax(self.scores(x))


def by_name(x, y):
    out = Heads()(x)
    return F.cross_entropy(out["task1"], y)  # expect: LH101


def line_search(x, y):
    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)  # expect: LH101
        loss.backward()
        return loss

    model = Small()
    optimizer = torch.optim.LBFGS(model.parameters())
    optimizer.step(closure)


def of_children(x, y):
    net = nn.Sequential(*list(Small().children()))
    head = nn.Sequential(*list(Small().children())[:-1])
    return F.cross_entropy(net(x), y) + F.cross_entropy(head(x), y.long())  # expect: LH101
