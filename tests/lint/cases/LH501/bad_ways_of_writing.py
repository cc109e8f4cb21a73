"""The mean of the batches' means, in the ways that it is written; 150 examples in batches of 64."""

import statistics

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split
from tqdm import tqdm

data = TensorDataset(torch.randn(150, 10), torch.randint(3, (150,)))
model = nn.Linear(10, 3)
criterion = nn.CrossEntropyLoss()


def by_length(loader):
    total = 0.0
    for x, y in loader:
        total += criterion(model(x), y).item()
    return total / len(loader)  # expect: LH501


def by_length_known_before(loader):
    n_batches, total = len(loader), 0.0
    for x, y in tqdm(loader):
        loss = criterion(model(x), y)
        total = total + loss.item()
    average = total / n_batches  # expect: LH501
    return average


def by_counter(loader):
    total, steps = torch.zeros(1), 0
    for x, y in loader:
        total += criterion(model(x), y).detach()
        steps += 1
    total /= max(steps, 1)  # expect: LH501
    return total


def by_index(loader):
    total = 0
    for i, (x, y) in enumerate(loader):  # noqa: B007
        total += float(criterion(model(x), y).item())
    return total / (i + 1)  # expect: LH501


def by_share(loader):
    average = 0.0
    for x, y in loader:
        average += criterion(model(x), y).item() / len(loader)  # expect: LH501
    return average


def of_a_list(loader):
    losses = []
    for x, y in loader:
        losses.append(criterion(model(x), y).item())
    print(np.mean(losses))  # expect: LH501
    print(statistics.mean(losses))  # expect: LH501
    print(np.array(losses).mean())  # expect: LH501
    return sum(losses) / len(losses)  # expect: LH501


def of_tensors(loader):
    losses = torch.stack([criterion(model(x), y) for x, y in loader])
    return losses.mean().item()  # expect: LH501


def of_a_generator(loader):
    return sum(criterion(model(x), y).item() for x, y in loader) / len(loader)  # expect: LH501


class Evaluator:
    def __init__(self, loader):
        self.loader = loader
        self.total = 0.0

    def run(self):
        self.total = 0.0
        for x, y in self.loader:
            self.total += criterion(model(x), y).item()
        return self.total / len(self.loader)  # expect: LH501


def of_parts():
    x, y = torch.randn(70, 10), torch.randint(3, (70,))
    losses = [criterion(model(a), b).item() for a, b in zip(x.split(32), y.split(32), strict=True)]
    return np.mean(losses)  # expect: LH501


def of_slices(x, y, size=32):
    total, steps = 0.0, 0
    for i in range(0, len(x), size):
        total += F.cross_entropy(model(x[i : i + size]), y[i : i + size]).item()
        steps += 1
    return total / steps  # expect: LH501


def of_tokens(batches):
    """Sentences of different lengths: here the counts differ whatever the batches are."""
    total = 0.0
    for x, y in batches:
        total += F.cross_entropy(model(x).flatten(0, 1), y.flatten(), ignore_index=0).item()
    return total / len(batches)  # expect: LH501


def epochs(loader, optimizer):
    for epoch in range(3):
        running_loss = 0.0
        for x, y in loader:
            loss = criterion(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
        print(f"epoch {epoch} loss {running_loss / len(loader):.4f}")  # expect: LH501


def main():
    loader = DataLoader(data, batch_size=64)
    part, _ = random_split(data, [130, 20])
    for way in (by_length, by_length_known_before, by_counter, by_index, by_share, of_a_list, of_tensors):
        way(loader)
    of_a_generator(DataLoader(part, batch_size=8, drop_last=False))
    Evaluator(loader).run()
    epochs(loader, torch.optim.SGD(model.parameters()))


if __name__ == "__main__":
    main()
