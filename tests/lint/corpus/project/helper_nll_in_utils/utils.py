import random

import numpy as np
import torch
import torch.nn.functional as F


def set_seed(seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def compute_loss(outputs, targets, mask=None):
    if mask is not None:
        outputs = outputs[mask]
        targets = targets[mask]
    return F.nll_loss(outputs, targets)  # expect: LH105


def accuracy(outputs, targets):
    preds = outputs.max(1)[1].type_as(targets)
    return preds.eq(targets).double().sum() / len(targets)
