import torch.nn.functional as F


def step(scores, target):
    out = (scores * 1.0).sigmoid()
    return F.binary_cross_entropy_with_logits(out, target)  # expect: LH106
