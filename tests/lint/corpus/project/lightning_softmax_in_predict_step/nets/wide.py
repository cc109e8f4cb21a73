from collections import OrderedDict

from torch import nn


class WideNet(nn.Module):
    def __init__(self, in_dim: int, num_classes: int, width: int = 512):
        super().__init__()
        self.layers = nn.Sequential(
            OrderedDict(
                [
                    ("fc1", nn.Linear(in_dim, width)),
                    ("relu1", nn.ReLU()),
                    ("fc2", nn.Linear(width, num_classes)),
                ]
            )
        )
        self.prob = nn.Softmax(dim=1)

    def forward(self, x):
        return self.layers(x.view(x.size(0), -1))
