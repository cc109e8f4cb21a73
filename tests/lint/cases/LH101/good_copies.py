"""What is put into a copy is not in what was copied."""

import copy

import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)
        self.last = nn.Identity()

    def forward(self, x):
        return self.last(self.fc(x))


def layers(x, y):
    net = nn.Sequential(nn.Linear(8, 3))
    exported = copy.deepcopy(net)
    exported.append(nn.Softmax(dim=1))
    print(exported(x))
    return F.cross_entropy(net(x), y)


def last_layer(x, y):
    net = Net()
    exported = copy.deepcopy(net)
    exported.last = nn.Softmax(dim=1)
    print(exported(x))
    return F.cross_entropy(net(x), y)


def settings(x, y):
    options = {"last": nn.Identity()}
    others = copy.copy(options)
    others["last"] = nn.Softmax(dim=1)
    return F.cross_entropy(options["last"](x), y), others
