import torch
from torch import nn


class ChurnNet(nn.Module):
    def __init__(self, in_features: int, hidden: tuple[int, ...] = (64, 32), p: float = 0.2):
        super().__init__()
        layers: list[nn.Module] = []
        width = in_features
        for size in hidden:
            layers += [nn.Linear(width, size), nn.BatchNorm1d(size), nn.ReLU(), nn.Dropout(p)]
            width = size
        layers.append(nn.Linear(width, 1))
        layers.append(nn.Sigmoid())
        self.net = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x).squeeze(1)
