"""Sizes that are equal, that are not known, or that are one number."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self, n_in=5):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_in, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x):
        return self.layers(x)


class Flat(Net):
    def forward(self, x):
        return super().forward(x).reshape(-1)


def equal():
    x, y = torch.randn(100, 5), torch.randn(100)
    a = F.mse_loss(Net()(x).squeeze(), y)
    b = F.mse_loss(Flat()(x), y)
    c = F.mse_loss(Net()(x)[:, 0], y)
    d = F.mse_loss(Net()(x), y[:, None])
    e = F.mse_loss(Net()(x).view_as(y), y)
    f = F.mse_loss(Net()(x).ravel(), y)
    return a + b + c + d + e + f


def batches(x, y):
    net = Net()
    for a, b in DataLoader(TensorDataset(x, y.view(-1, 1)), batch_size=8):
        F.mse_loss(net(a), b).backward()


def single_row(i):
    x, y = torch.randn(100, 5), torch.randn(100)
    return F.mse_loss(Net()(x[3]), y[3:4])


def one_number():
    return F.mse_loss(Net()(torch.randn(8, 5)), torch.ones(1))


def unknown(net, x, y):
    return F.mse_loss(net(x), y)


def column_of_classes():
    x, y = torch.randn(100, 5), torch.randint(0, 3, (100, 1))
    return F.cross_entropy(nn.Linear(5, 3)(x), y.squeeze(1)) + F.cross_entropy(nn.Linear(5, 3)(x), y[:, 0])
