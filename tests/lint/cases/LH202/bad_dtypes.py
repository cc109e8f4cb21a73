"""Targets of cross-entropy as floats, bools, and integers that are too short."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision import datasets, transforms


class Net(nn.Module):
    def __init__(self, n_in=20, n_out=4):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(n_in, 32), nn.ReLU(), nn.Linear(32, n_out))

    def forward(self, x):
        return self.body(x)


def digits(epochs=2):
    data = datasets.MNIST("data", train=True, transform=transforms.ToTensor())
    net, criterion = Net(784, 10), nn.CrossEntropyLoss()
    for _ in range(epochs):
        for images, labels in DataLoader(data, batch_size=64):
            loss = criterion(net(images), labels.float())  # expect: LH202
            loss.backward()


def floats_of_a_table(rows):
    x = torch.randn(len(rows), 20)
    y = torch.randint(0, 4, (len(rows),)).to(torch.float32)
    net = Net()
    for a, b in DataLoader(TensorDataset(x, y), batch_size=8):
        F.cross_entropy(net(a), b).backward()  # expect: LH202


def above_zero(net):
    x = torch.randn(16, 20)
    target = x.sum(dim=1) > 0
    return F.cross_entropy(net(x), target.to("cuda"))  # expect: LH202


def short_integers(x):
    y = torch.tensor([0, 3, 2, 1], dtype=torch.int32)
    return F.cross_entropy(Net()(x), y)  # expect: LH202


def of_numpy(x):
    y = torch.from_numpy(np.array([0, 3, 2, 1], dtype=np.int32))
    return F.nll_loss(F.log_softmax(Net()(x), dim=1), y)  # expect: LH202


def bytes_of_many(x):
    y = torch.randint(0, 300, (16,)).byte()
    return F.cross_entropy(Net(n_out=300)(x), y)  # expect: LH202
