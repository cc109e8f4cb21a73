import torch
import torch.nn.functional as F
from torch import nn


class LogNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(9, 4)

    def forward(self, x):
        return F.log_softmax(self.fc(x), dim=1)


net = nn.Linear(9, 4)


def train(x, y):
    return F.nll_loss(LogNet()(x), y) + F.cross_entropy(net(x), y)


def predict(x):
    squashed = torch.sigmoid(LogNet()(x))  # expect: LH114
    again = F.softmax(LogNet()(x), dim=1)  # expect: LH114
    probs = torch.exp(net(x))  # expect: LH114
    top, classes = probs.topk(2, dim=1)
    sure = net(x).exp() > 0.9  # expect: LH114
    return squashed, again, top, classes, sure
