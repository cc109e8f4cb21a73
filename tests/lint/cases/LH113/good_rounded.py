"""A figure of several tasks: only those of a regression come to it as they are."""

import torch
import torch.nn.functional as F
from torch import nn

model = nn.Linear(7, 1)


def share_of_hits(output, y):
    return (output.round() == y).float().mean()


def train(x, y, task):
    output = model(x)
    if task == "binary":
        print(share_of_hits(torch.sigmoid(output), y))
        return F.binary_cross_entropy_with_logits(output, y)
    print(share_of_hits(output, y))
    return F.mse_loss(output, y)
