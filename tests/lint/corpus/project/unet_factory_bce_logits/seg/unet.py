import torch
import torch.nn as nn


def double_conv(cin, cout):
    return nn.Sequential(
        nn.Conv2d(cin, cout, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(cout, cout, 3, padding=1),
        nn.ReLU(),
    )


class UNet(nn.Module):
    def __init__(self, n_channels=3, n_classes=1, width=32):
        super().__init__()
        self.inc = double_conv(n_channels, width)
        self.down = double_conv(width, 2 * width)
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.dec = double_conv(2 * width, width)
        self.outc = nn.Conv2d(width, n_classes, 1)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down(self.pool(x1))
        return self.outc(self.dec(torch.cat([x1, self.up(x2)], dim=1)))

    def predict(self, x, threshold=0.5):
        return torch.sigmoid(self.forward(x)) > threshold
