import torch
from torch import nn


def moved(x):
    """
    Move what is given to where there is room for it.

    On a machine with more than one card it is the first.
    The rest of the machine stays as it was.

    :param x: whatever can be moved.
    :return: the same, moved.
    """
    if torch.cuda.is_available():
        x = x.cuda()
    return x


def train(examples):
    net = moved(nn.Sequential(nn.Linear(16, 1), nn.Sigmoid()))
    loss_fn = nn.BCELoss()
    for x, y in examples:
        loss_fn(net(moved(x)), moved(y)).backward()  # expect: LH109
