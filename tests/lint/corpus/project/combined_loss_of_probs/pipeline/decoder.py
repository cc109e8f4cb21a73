import torch
from torch import nn


class Decoder(nn.Module):
    def __init__(self, channels, out_channels):
        super().__init__()
        self.up = nn.ConvTranspose2d(channels, channels // 2, 2, stride=2)
        self.out = nn.Conv2d(channels // 2, out_channels, 1)

    def forward(self, x):
        return torch.sigmoid(self.out(torch.relu(self.up(x))))
