import torch
from torch import nn


class FaceNet(nn.Module):
    """Identity (one of many) and attributes (any of them) from one trunk."""

    def __init__(self, n_ids, n_attributes):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 32, 3, 2, 1),
            nn.PReLU(),
            nn.Conv2d(32, 64, 3, 2, 1),
            nn.PReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(1024, 256),
            nn.PReLU(),
        )
        self.id_head = nn.Linear(256, n_ids)
        self.attr_head = nn.Linear(256, n_attributes)

    def forward(self, x):
        z = self.trunk(x)
        identity = self.id_head(z)
        attributes = self.attr_head(z)
        return identity, attributes

    def embed(self, x):
        return torch.nn.functional.normalize(self.trunk(x), dim=1)
