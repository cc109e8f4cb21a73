import torch
from torch import nn


class MILNet(nn.Module):
    """Attention-based multiple-instance learning: a bag of patches has one label."""

    def __init__(self, d_in=512, d_att=128, n_classes=3):
        super().__init__()
        self.attention = nn.Sequential(nn.Linear(d_in, d_att), nn.Tanh(), nn.Linear(d_att, 1))
        self.classifier = nn.Linear(d_in, n_classes)

    def forward(self, bag):
        weights = torch.softmax(self.attention(bag), dim=1)
        pooled = (weights * bag).sum(dim=1)
        return self.classifier(pooled), weights.squeeze(-1)
