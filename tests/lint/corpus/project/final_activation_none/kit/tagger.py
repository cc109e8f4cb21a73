from torch import nn

from .layers import get_activation


class Tagger(nn.Module):
    def __init__(self, n_tags, final_activation=None):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 32, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, 2, 1),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(1),
        )
        self.out = nn.Linear(64, n_tags)
        self.final = get_activation(final_activation)

    def forward(self, x):
        return self.final(self.out(self.body(x).flatten(1)))
