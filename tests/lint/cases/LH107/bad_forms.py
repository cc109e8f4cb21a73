import torch.nn.functional as F
from torch import nn


def functional(scores, target):
    return F.binary_cross_entropy_with_logits(F.softmax(scores, dim=1), target)  # expect: LH107


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 2), nn.Softmax(dim=1))

    def forward(self, x):
        return self.layers(x)


def step(x, one_hot):
    return nn.BCEWithLogitsLoss()(Two()(x), one_hot)  # expect: LH107
