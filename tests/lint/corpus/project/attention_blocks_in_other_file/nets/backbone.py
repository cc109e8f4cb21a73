from torch import nn

from .blocks import AttentionPool, SqueezeExcite


class AttentiveNet(nn.Module):
    def __init__(self, num_classes, width=32):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1),
            nn.ReLU(),
            SqueezeExcite(width),
            nn.Conv2d(width, 2 * width, 3, 2, 1),
            nn.ReLU(),
            SqueezeExcite(2 * width),
        )
        self.pool = AttentionPool(2 * width)
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, x):
        return self.head(self.pool(self.layers(x)))
