import torch
import torch.nn.functional as F
from torch import nn

net = nn.Sequential(nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 1))


def train(x, y):
    return F.binary_cross_entropy_with_logits(net(x), y)


def evaluate(x, y):
    predicted = (net(x) > 0.5).float()  # expect: LH113
    flipped = net(x) >= 0.5  # expect: LH113
    method = net(x).squeeze(1).ge(0.5)  # expect: LH113
    chosen = torch.where(net(x).detach().cpu() < 0.5, 0, 1)  # expect: LH113
    return predicted, flipped, method, chosen


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(9, 4)
        self.threshold = 0.5

    def forward(self, x):
        return self.head(x)

    def loss(self, x, y):
        return F.binary_cross_entropy(torch.sigmoid(self(x)), y)  # expect: LH109

    def predict(self, x):
        return self(x) > self.threshold  # expect: LH113
