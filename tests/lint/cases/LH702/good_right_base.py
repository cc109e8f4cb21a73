"""The exponential of nats and the powers of two of bits; and units that are not known."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

model = nn.Embedding(50, 50)


def nats(ids):
    return F.cross_entropy(model(ids[:-1]), ids[1:])


def right(ids):
    loss = nats(ids)
    bits = loss / math.log(2)
    print(loss.exp(), math.exp(loss.item()), np.exp(loss.item()))
    print(2**bits, torch.pow(2, bits), 2 ** (loss.item() / np.log(2)), 2 ** (loss / 0.6931))
    return torch.exp2(bits)


def by_a_factor(ids):
    per_character = nats(ids).item() * math.log2(math.e)
    return 2**per_character


def by_a_count_in_bits(ids, text):
    norm = len(text) * math.log(2)
    bits_per_character = nats(ids).item() * (len(ids) - 1) / norm
    return 2**bits_per_character


def as_the_caller_says(ids, log_base):
    return 2 ** (nats(ids).item() / log_base)


def squared(ids, target):
    return nats(ids) ** 2 + 2 ** F.mse_loss(ids.float(), target)


def below_one(ids):
    return 2 ** -(nats(ids) / math.log(2)), torch.exp(-nats(ids))
