import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(12, 1)

    def forward(self, x):
        return self.fc(x).view(-1)


def step(x, y):
    return F.binary_cross_entropy(Net()(x), y)  # expect: LH108


def decoder(z, x):
    criterion = nn.BCELoss(reduction="sum")
    reconstructed = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 784))(z)
    return criterion(reconstructed, x)  # expect: LH108


def both_tensors(x, y):
    head = nn.ConvTranspose2d(8, 1, 2)
    return nn.BCELoss()(torch.squeeze(head(x), 1), y)  # expect: LH108
