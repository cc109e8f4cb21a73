import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(30, 1)

    def forward(self, x):
        return self.head(x).squeeze(-1)

    @torch.no_grad()
    def predict(self, x):
        return torch.sigmoid(self(x)) > 0.5


def train(x, y):
    net = Net()
    loss = nn.BCEWithLogitsLoss()(net(x), y)
    return loss, net.predict(x)


def soft_target(scores, teacher):
    return F.binary_cross_entropy_with_logits(scores, torch.sigmoid(teacher))


def inverse(p, y):
    return F.binary_cross_entropy_with_logits(torch.logit(torch.sigmoid(p)), y)
