"""One exponential of the nats of all tokens over their number; perplexities that are not averaged."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

model = nn.Embedding(50, 50)
texts = torch.randint(50, (150, 20))


def nats(ids, reduction="mean"):
    return F.cross_entropy(model(ids[:, :-1]).transpose(1, 2), ids[:, 1:], reduction=reduction)


def summed(loader):
    total, tokens = 0.0, 0
    for (ids,) in loader:
        total += nats(ids, reduction="sum").item()
        tokens += ids[:, 1:].numel()
    return math.exp(total / tokens)


def weighted(loader):
    total, tokens = 0.0, 0
    for (ids,) in loader:
        total += nats(ids).item() * ids[:, 1:].numel()
        tokens += ids[:, 1:].numel()
    return math.exp(total / tokens)


def of_even_batches():
    losses = [nats(ids) for (ids,) in DataLoader(TensorDataset(texts), batch_size=15)]
    return torch.stack(losses).mean().exp().item()


def shown(loader, optimizer):
    for step, (ids,) in enumerate(loader):
        loss = nats(ids)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(step, loss.item(), math.exp(loss.item()))


def of_each_sentence(sentences):
    scores = [math.exp(nats(ids[None]).item()) for ids in sentences]
    return sorted(scores)[:10], max(scores)


def probability_of_a_batch(batches):
    """No perplexity: the geometric mean of the probabilities."""
    return torch.stack([torch.exp(-nats(ids)) for ids in batches]).mean()


if __name__ == "__main__":
    loader = DataLoader(TensorDataset(texts), batch_size=16)
    print(summed(loader), weighted(loader), of_even_batches())
    shown(loader, torch.optim.SGD(model.parameters()))
