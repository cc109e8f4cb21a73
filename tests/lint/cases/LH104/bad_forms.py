import torch
import torch.nn.functional as F
from torch import nn


def functional(scores, target):
    return F.nll_loss(F.softmax(scores, dim=1), target)  # expect: LH104


def each(scores, target, mask):
    losses = F.nll_loss(torch.softmax(scores, dim=1), target, reduction="none")  # expect: LH104
    return (losses * mask).sum() / mask.sum()


def whole(scores, target):
    criterion = nn.NLLLoss(reduction="sum", ignore_index=0)
    loss = criterion(scores.softmax(dim=-1), target)  # expect: LH104
    return loss / len(target)


net = nn.Sequential(nn.Linear(9, 3))
net.append(nn.Softmax(dim=1))
for x, y in [(torch.randn(2, 9), torch.tensor([0, 1]))]:
    value = nn.NLLLoss()(net(x), y)  # expect: LH104
    value.backward()
