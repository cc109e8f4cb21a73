import torch
import torch.nn.functional as F


def step(scores, target):
    return F.cross_entropy(torch.sigmoid(scores), target)  # expect: LH102
