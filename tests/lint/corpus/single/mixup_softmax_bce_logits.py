# case: mixup of one-hot labels in a decorated step; a softmax meets BCE with logits
import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def train_mode(func):
    @functools.wraps(func)
    def wrapper(net, *args, **kwargs):
        net.train()
        return func(net, *args, **kwargs)

    return wrapper


class TinyResNet(nn.Module):
    def __init__(self, width=16, depth=2, num_classes=5):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))
            for _ in range(depth)
        )
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        x = x.mean(dim=(2, 3))
        return F.softmax(self.fc(x), dim=1)


def mixup(x, y, alpha=0.2):
    lam = float(np.random.beta(alpha, alpha))
    perm = torch.randperm(x.size(0))
    return lam * x + (1 - lam) * x[perm], lam * y + (1 - lam) * y[perm]


@train_mode
def step(net, images, labels, opt):
    onehot = F.one_hot(labels, 5).float()
    mixed, soft = mixup(images, onehot)
    pred = net(mixed)
    loss = F.binary_cross_entropy_with_logits(pred, soft)  # expect: LH107
    opt.zero_grad()
    loss.backward()
    opt.step()
    return loss.item()


if __name__ == "__main__":
    net = TinyResNet()
    opt = torch.optim.SGD(net.parameters(), lr=0.05)
    for _ in range(5):
        print(step(net, torch.rand(8, 3, 16, 16), torch.randint(0, 5, (8,)), opt))
