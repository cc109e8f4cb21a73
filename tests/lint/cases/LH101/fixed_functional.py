import torch
import torch.nn.functional as F


def step(scores, target):
    loss = F.cross_entropy(
        scores,  # the network's output
        target,
        label_smoothing=0.0,
    )
    return loss + torch.zeros(())
