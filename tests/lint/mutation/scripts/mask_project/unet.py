"""A U-Net with two outputs per pixel: cell or background."""

import torch
from torch import nn


class Stage(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.GroupNorm(2, outputs)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)))


class CellUNet(nn.Module):
    def __init__(self, channels=1, classes=2):
        super().__init__()
        self.enter = Stage(channels, 8)
        self.deep = Stage(8, 16)
        self.leave = Stage(24, 8)
        self.pool = nn.MaxPool2d(2)
        self.upsample = nn.Upsample(scale_factor=2)
        self.head = nn.Conv2d(8, classes, 1)

    def forward(self, x):
        fine = self.enter(x)
        coarse = self.upsample(self.deep(self.pool(fine)))
        return self.head(self.leave(torch.cat([fine, coarse], dim=1)))
