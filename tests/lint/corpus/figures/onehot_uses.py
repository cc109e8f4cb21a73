# case: one-hot rows that are needed: mixup, hand-made smoothing, Brier score, one against the rest
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

C = 10


def mixup(x, y, alpha=0.4):
    lam = float(np.random.beta(alpha, alpha))
    index = torch.randperm(x.size(0))
    rows = F.one_hot(y, C).float()
    return lam * x + (1 - lam) * x[index], lam * rows + (1 - lam) * rows[index]


def mixup_loss(model, x, y):
    mixed, soft = mixup(x, y)
    return F.cross_entropy(model(mixed), soft)


def mixup_two_terms(model, x, y, lam=0.7):
    index = torch.randperm(x.size(0))
    out = model(lam * x + (1 - lam) * x[index])
    return lam * F.cross_entropy(out, y) + (1 - lam) * F.cross_entropy(out, y[index])


def smoothed(model, x, y, eps=0.1):
    rows = F.one_hot(y, C).float() * (1 - eps) + eps / C
    log_probs = F.log_softmax(model(x), dim=1)
    return -(rows * log_probs).sum(dim=1).mean()


def annotators(model, x, votes):
    """Several people labelled each image: the target is the share of each class."""
    share = F.one_hot(votes, C).float().mean(dim=1)
    return nn.CrossEntropyLoss()(model(x), share)


def one_against_the_rest(model, x, y):
    return F.binary_cross_entropy_with_logits(model(x), F.one_hot(y, C).float())


def squared_error(model, x, y):
    return F.mse_loss(torch.softmax(model(x), dim=1), F.one_hot(y, C).float())


@torch.no_grad()
def brier(model, x, y):
    probs = model(x).softmax(dim=-1)
    return ((probs - F.one_hot(y, C)) ** 2).sum(dim=-1).mean().item()


if __name__ == "__main__":
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, C))
    images, labels = torch.randn(8, 1, 8, 8), torch.randint(C, (8,))
    for fn in (mixup_loss, mixup_two_terms, smoothed, one_against_the_rest, squared_error):
        fn(net, images, labels).backward()
    annotators(net, images, torch.randint(C, (8, 3))).backward()
    print(brier(net, images, labels))
