"""Targets whose dtype is right, or becomes right, or is not known."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, n_in=20, n_out=4):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(n_in, 32), nn.ReLU(), nn.Linear(32, n_out))

    def forward(self, x):
        return self.body(x)


def above_zero(x):
    return F.cross_entropy(Net(n_out=2)(x), (x.sum(dim=1) > 0).long())


def of_numpy(x, values):
    y = torch.from_numpy(np.array(values, dtype=int))
    return F.cross_entropy(Net()(x), y)


def as_python_says(x, values):
    y = np.asarray(values).astype(int)
    return F.cross_entropy(Net()(x), torch.as_tensor(y))


def like_another(x, reference):
    y = torch.randint(0, 4, (16,)).int()
    return F.cross_entropy(Net()(x), y.type_as(reference))


def to_a_dtype(x, index_dtype):
    y = torch.randint(0, 4, (16,)).float()
    return F.cross_entropy(Net()(x), y.to(index_dtype))


def probabilities(x):
    soft = torch.rand(16, 4)
    return F.cross_entropy(Net()(x), soft / soft.sum(dim=1, keepdim=True))


def one_example(scores):
    # one row without a batch, against the probabilities of its classes
    return F.cross_entropy(scores, torch.tensor([0.1, 0.2, 0.3, 0.4]))


def bytes_of_few(x):
    return F.cross_entropy(Net()(x), torch.randint(0, 4, (16,)).byte())


def not_known(net, x, y):
    return F.cross_entropy(net(x), y.float())


def for_a_binary_loss(x):
    y = torch.randint(0, 2, (16,)).float()
    return F.binary_cross_entropy_with_logits(Net(n_out=1)(x).squeeze(1), y)
