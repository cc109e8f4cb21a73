import torch.nn as nn
import torch.nn.functional as F

head = nn.Linear(3, 3)


def step(x, target):
    return F.binary_cross_entropy(head(x), target)  # expect: LH108
