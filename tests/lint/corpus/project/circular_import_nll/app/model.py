import torch
from torch import nn

from app import training

NUM_CLASSES = 6


class PointNet(nn.Module):
    def __init__(self, num_classes=NUM_CLASSES):
        super().__init__()
        self.local = nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 256), nn.ReLU())
        self.last = nn.Linear(256, num_classes)

    def forward(self, points):
        cloud = self.local(points).max(dim=1).values
        return torch.log_softmax(self.last(cloud), dim=-1)

    def fit(self, clouds, labels, **kwargs):
        return training.train(self, clouds, labels, **kwargs)
