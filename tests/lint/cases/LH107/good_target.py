import torch
import torch.nn.functional as F


def distil(scores, teacher):
    return F.binary_cross_entropy_with_logits(scores, torch.softmax(teacher, dim=1))


def weighed(scores, target, votes):
    weights = votes.softmax(dim=0)
    return F.binary_cross_entropy_with_logits((weights[:, None] * scores).sum(dim=0), target)
