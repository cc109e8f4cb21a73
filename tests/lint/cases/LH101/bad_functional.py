import torch
import torch.nn.functional as F


def step(scores, target):
    loss = F.cross_entropy(  # expect: LH101
        F.softmax(scores, dim=1),  # the network's output
        target,
        label_smoothing=0.0,
    )
    return loss + torch.zeros(())
