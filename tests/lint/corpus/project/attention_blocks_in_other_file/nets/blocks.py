import torch
from torch import nn


class SqueezeExcite(nn.Module):
    def __init__(self, channels, reduction=8):
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // reduction),
            nn.ReLU(),
            nn.Linear(channels // reduction, channels),
            nn.Sigmoid(),
        )

    def forward(self, x):
        scale = self.fc(x.mean((2, 3)))
        return x * scale[:, :, None, None]


class AttentionPool(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.query = nn.Conv2d(channels, 1, 1)

    def forward(self, x):
        weights = torch.softmax(self.query(x).flatten(2), dim=-1)
        return (x.flatten(2) * weights).sum(-1)
