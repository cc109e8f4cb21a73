import torch.nn as nn
import torch.nn.functional as F

head = nn.Linear(3, 3)


def step(x, target):
    return F.nll_loss(head(x), target, reduction="mean")  # expect: LH105
