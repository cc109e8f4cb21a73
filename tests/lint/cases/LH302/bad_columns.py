"""One column against one number for each row, in losses that broadcast and in losses that raise."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset, random_split


class Net(nn.Module):
    def __init__(self, n_in=5, squeeze=False):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_in, 16), nn.ReLU(), nn.Linear(16, 1))
        self.squeeze = squeeze

    def forward(self, x):
        out = self.layers(x)
        return out.squeeze(-1) if self.squeeze else out


class Table(Dataset):
    def __init__(self, rows):
        self.x = torch.randn(rows, 5)
        self.y = torch.randn(rows)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


def fit():
    x, y = torch.randn(100, 5), torch.randn(100)
    train, test = random_split(TensorDataset(x, y), [80, 20])
    net, mse = Net(), nn.MSELoss()
    for a, b in DataLoader(train, batch_size=8, shuffle=True):
        mse(net(a), b).backward()  # expect: LH302
    for a, b in DataLoader(test, batch_size=8):
        print(F.l1_loss(net(a), b).item())  # expect: LH302


def whole_set():
    x = torch.linspace(-1, 1, 200)
    noise = 0.1 * torch.randn(200)
    y = x**2 + noise
    net = Net(1)
    return F.smooth_l1_loss(net(x.unsqueeze(1)), y)  # expect: LH302


def other_way_round():
    x, y = torch.randn(100, 5), torch.randn(100, 1)
    return nn.MSELoss()(Net(squeeze=True)(x), y)  # expect: LH302


def raises():
    x, y = torch.randn(100, 5), torch.randint(0, 2, (100,)).float()
    return F.binary_cross_entropy_with_logits(Net()(x), y)  # expect: LH302


def column_of_classes():
    x, y = torch.randn(100, 5), torch.randint(0, 3, (100, 1))
    return F.cross_entropy(nn.Linear(5, 3)(x), y)  # expect: LH302
