from torch import nn

from .layers import ACTIVATIONS, conv_bn


class Tagger(nn.Module):
    def __init__(self, n_tags, final_activation="none"):
        super().__init__()
        self.body = nn.Sequential(conv_bn(3, 32, 2), conv_bn(32, 64, 2), conv_bn(64, 128, 2))
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.out = nn.Linear(128, n_tags)
        self.final = ACTIVATIONS[final_activation]

    def forward(self, x):
        x = self.pool(self.body(x)).flatten(1)
        return self.final(self.out(x))
