import torch
import torch.nn.functional as F
from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(30, 30), nn.Tanh())
        self.head = nn.Sequential(nn.Linear(30, 12), nn.Sigmoid())

    def forward(self, x):
        return {"tags": self.head(self.body(x)), "hidden": self.body(x)}


def train(x, y):
    out = Tagger()(x)
    return nn.BCEWithLogitsLoss(pos_weight=torch.ones(12))(out["tags"], y)  # expect: LH106


def margin(scores, target):
    return F.multilabel_soft_margin_loss(torch.sigmoid(scores), target)  # expect: LH106


def one_column(scores, target):
    p = torch.sigmoid(scores)
    return F.binary_cross_entropy_with_logits(p[:, 0], target)  # expect: LH106


def complement(scores, target):
    return F.binary_cross_entropy_with_logits(1 - scores.sigmoid(), target)  # expect: LH106
