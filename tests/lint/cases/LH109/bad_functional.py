import torch
import torch.nn.functional as F


def step(scores, target):
    weight = torch.ones(3)
    loss = F.binary_cross_entropy(  # expect: LH109
        torch.sigmoid(scores),
        target,
        weight=weight,
        reduction="mean",
    )
    return loss
