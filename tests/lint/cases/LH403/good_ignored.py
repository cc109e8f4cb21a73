"""Indices outside the head, and indices inside it that say what is left out."""

import torch
import torch.nn.functional as F
from torch import nn

PAD_IDX = 0
VOID = 1


def outside(x):
    y = torch.randint(0, 5, (32,))
    head = nn.Linear(8, 5)
    a = F.cross_entropy(head(x), y, ignore_index=5)
    b = F.cross_entropy(head(x), y, ignore_index=-1)
    c = F.cross_entropy(head(x), y, ignore_index=-100)
    return a + b + c


def padding(x, y):
    return nn.CrossEntropyLoss(ignore_index=PAD_IDX)(nn.Linear(8, 5)(x), y)


def void(images, masks):
    return F.cross_entropy(nn.Conv2d(3, 2, 1)(images), masks, ignore_index=VOID)


def sequence(ids):
    # the id 0 fills up the sentences
    head = nn.Linear(8, 50)
    target = torch.randint(0, 50, (4, 12))
    return F.cross_entropy(head(ids).view(-1, 50), target.view(-1), ignore_index=0)


def not_known(x, y, n_classes):
    return F.cross_entropy(nn.Linear(8, n_classes)(x), y, ignore_index=0)


def many_classes(images, masks):
    # 0 may be what nobody labelled
    return F.cross_entropy(nn.Conv2d(3, 19, 1)(images), masks, ignore_index=0)
