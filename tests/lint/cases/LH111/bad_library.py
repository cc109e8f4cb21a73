from torch import nn

import likelihead
import likelihead.functional as LF
from likelihead.nn import DiceLoss

net = nn.Conv2d(3, 4, 1)
criterion = DiceLoss(from_logits=False)


def step(image, target):
    return criterion(net(image), target)  # expect: LH111


def functional(image, target):
    first = LF.tversky_loss(net(image), target, from_logits=False, alpha=0.3, beta=0.7)  # expect: LH111
    return first + likelihead.functional.jaccard_loss(net(image), target, from_logits=False)  # expect: LH111
