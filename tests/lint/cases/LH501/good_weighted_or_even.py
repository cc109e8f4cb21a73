"""Means that weigh each example alike: weighted, summed, of even batches, or shown on the way."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

data = TensorDataset(torch.randn(150, 10), torch.randint(3, (150,)))
model = nn.Linear(10, 3)
criterion = nn.CrossEntropyLoss()


def weighted(loader):
    total, count = 0.0, 0
    for x, y in loader:
        total += criterion(model(x), y).item() * y.size(0)
        count += y.size(0)
    return total / count


def weighted_by_length(loader):
    total = 0.0
    for x, y in loader:
        total += len(y) * criterion(model(x), y).item()
    return total / len(loader.dataset)


def weighted_list(loader):
    losses, sizes = [], []
    for x, y in loader:
        losses.append(criterion(model(x), y).item())
        sizes.append(len(y))
    return np.average(losses, weights=sizes)


def summed(loader):
    total = 0
    for x, y in loader:
        total += F.cross_entropy(model(x), y, reduction="sum").item()
    return total / len(loader.dataset)


def of_examples(loader):
    per_example = [F.cross_entropy(model(x), y, reduction="none") for x, y in loader]
    return torch.cat(per_example).mean().item()


def dropped():
    total = 0.0
    loader = DataLoader(data, batch_size=64, drop_last=True)
    for x, y in loader:
        total += criterion(model(x), y).item()
    return total / len(loader)


def dividing():
    total = 0.0
    loader = DataLoader(data, batch_size=50)
    for x, y in loader:
        total += criterion(model(x), y).item()
    return total / len(loader)


def one_by_one():
    loader = DataLoader(data)
    return np.mean([criterion(model(x), y).item() for x, y in loader])


def from_settings(args, loader_options):
    loader = DataLoader(data, batch_size=args.batch_size, **loader_options)
    return np.mean([criterion(model(x), y).item() for x, y in loader])


def of_unknown_batches(batches):
    total = 0.0
    for x, y in batches:
        total += criterion(model(x), y).item()
    return total / len(batches)


def even_parts(x, y):
    losses = [criterion(model(a), b).item() for a, b in zip(x.split(32), y.split(32), strict=True)]
    x, y = torch.randn(64, 10), torch.randint(3, (64,))
    more = [criterion(model(a), b).item() for a, b in zip(x.split(32), y.split(32), strict=True)]
    return np.mean(losses), np.mean(more)


def shown_on_the_way(loader, optimizer):
    """What a progress bar shows is of full batches, but for the very last."""
    running, interval, losses = 0.0, 0.0, []
    bar = tqdm(loader)
    for i, (x, y) in enumerate(bar):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running += loss.item()
        losses.append(loss.item())
        bar.set_postfix(loss=running / (i + 1), mean=np.mean(losses), last=np.mean(losses[-100:]))
        interval += loss.item()
        if i % 100 == 99:
            print(interval / 100)
            interval = 0.0


def terms_of_one_loss(loader, heads):
    total = 0.0
    for x, y in loader:
        loss = 0.0
        for head in heads:
            loss += criterion(head(x), y)
        loss = loss / len(heads)
        total += loss.item() * len(y)
    return total / len(loader.dataset)


def steps_of_a_sequence(logits, targets):
    """What is trained on: each step of the sequence weighs the same, by design."""
    loss = 0
    for t in range(logits.size(1)):
        loss += F.cross_entropy(logits[:, t], targets[:, t], ignore_index=0)
    return loss / logits.size(1)


def accuracy(loader):
    correct = sum((model(x).argmax(1) == y).float().mean().item() for x, y in loader)
    return correct / len(loader)


if __name__ == "__main__":
    batches = DataLoader(data, batch_size=64)
    for way in (weighted, weighted_by_length, weighted_list, summed, of_examples, accuracy):
        way(batches)
    shown_on_the_way(batches, torch.optim.SGD(model.parameters()))
    terms_of_one_loss(batches, [model, nn.Linear(10, 3)])
