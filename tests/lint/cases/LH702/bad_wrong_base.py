"""Two to the power of nats, and the exponential of bits."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

model = nn.Embedding(50, 50)
LN2 = math.log(2)


def nats(ids):
    return F.cross_entropy(model(ids[:-1]), ids[1:])


def power_of_nats(ids):
    loss = nats(ids)
    print(2**loss)  # expect: LH702
    print(torch.pow(2, loss), math.pow(2, loss.item()))  # expect: LH702
    print(np.power(2.0, loss.item()))  # expect: LH702
    print(loss.exp2(), np.exp2(loss.item()))  # expect: LH702


def power_of_the_mean(batches):
    total, tokens = 0.0, 0
    for ids in batches:
        total += F.cross_entropy(model(ids[:-1]), ids[1:], reduction="sum").item()
        tokens += len(ids) - 1
    return 2 ** (total / tokens)  # expect: LH702


def exp_of_bits(ids):
    bits = nats(ids) / math.log(2)
    print(torch.exp(bits))  # expect: LH702
    bits = nats(ids).item() / LN2
    print(math.exp(bits))  # expect: LH702
    bits = nats(ids) / torch.log(torch.tensor(2.0))
    return bits.exp()  # expect: LH702
