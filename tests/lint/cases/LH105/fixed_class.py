import torch.nn as nn
from torch.nn import CrossEntropyLoss as Loss

model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 3))


def fit(batches, criterion):
    for x, y in batches:
        loss = criterion(model(x), y)
    return loss


def step(x, target):
    return fit([(x, target)], Loss(ignore_index=-1))
