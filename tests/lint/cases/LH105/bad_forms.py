import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = F.relu(self.conv(x)).mean(dim=(2, 3))
        return self.fc(F.dropout(x, training=self.training))


def step(x, y):
    return F.nll_loss(Net()(x), y)  # expect: LH105


def pixels(x, y):
    criterion = nn.NLLLoss(weight=torch.ones(4), ignore_index=255)
    return criterion(nn.Conv2d(3, 4, 1)(x), y)  # expect: LH105


def each(x, y):
    losses = nn.NLLLoss(reduction="none")(Net()(x), y)  # expect: LH105
    return losses.mean()
