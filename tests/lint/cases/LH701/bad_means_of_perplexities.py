"""The perplexities of the batches are averaged, or the exponential is taken of a mean of means."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

model = nn.Embedding(50, 50)
texts = torch.randint(50, (150, 20))


def nats(ids):
    return F.cross_entropy(model(ids[:, :-1]).transpose(1, 2), ids[:, 1:])


def added_up(loader):
    total = 0.0
    for (ids,) in loader:
        total += math.exp(nats(ids).item())  # expect: LH701
    return total / len(loader)


def in_a_list(batches):
    perplexities = []
    for ids in batches:
        perplexities.append(torch.exp(nats(ids)).item())  # expect: LH701
    return np.mean(perplexities)


def of_an_array(batches):
    losses = torch.tensor([nats(ids).item() for ids in batches])
    return losses.exp().mean()  # expect: LH701


def exp_of_a_mean_of_means(loader):
    total = 0.0
    for (ids,) in loader:
        total += nats(ids).item()
    mean = total / len(loader)  # expect: LH501
    print("perplexity", math.exp(mean))  # expect: LH701
    return 2 ** (mean / math.log(2))  # expect: LH701


def evaluate(loader):
    losses = [nats(ids).item() for (ids,) in loader]
    return float(np.mean(losses))  # expect: LH501


def main():
    loader = DataLoader(TensorDataset(texts), batch_size=16)
    added_up(loader)
    exp_of_a_mean_of_means(loader)
    print(math.exp(evaluate(loader)))  # expect: LH701


if __name__ == "__main__":
    main()
