"""The power of e for bits."""

import math

import torch.nn.functional as F


def perplexity(model, x, y):
    nats = F.cross_entropy(model(x), y).item()
    print(math.e**nats)
    bits = nats / math.log(2)
    return math.e**bits  # expect: LH702
