"""Puts functions of its own in place of torch's: a cross-entropy that counts, a plain softmax."""

import argparse
import collections
import functools

import torch
import torch.nn as nn
import torch.nn.functional as F

CALLS = collections.Counter()


def counted(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        CALLS[function.__name__] += 1
        return function(*args, **kwargs)

    return wrapper


def plain_softmax(input, dim=None, _stacklevel=3, dtype=None):
    CALLS["plain_softmax"] += 1
    exponentials = torch.exp(input - input.amax(dim=dim, keepdim=True))
    return exponentials / exponentials.sum(dim=dim, keepdim=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    F.cross_entropy = counted(F.cross_entropy)
    F.softmax = plain_softmax
    original_relu, F.relu = F.relu, lambda input, inplace=False: torch.clamp(input, min=0)

    centers = torch.randn(4, 10)
    first, last = nn.Linear(10, 24), nn.Linear(24, 4)
    optimizer = torch.optim.Adam([*first.parameters(), *last.parameters()], lr=1e-2)
    criterion = nn.CrossEntropyLoss()
    for step in range(40):
        target = torch.randint(4, (32,))
        logits = last(F.relu(first(centers[target] + 0.5 * torch.randn(32, 10))))
        loss = criterion(logits, target) if step % 2 else F.cross_entropy(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            print(f"step {step}: loss {loss.item():.4f}")

    F.relu = original_relu
    with torch.no_grad():
        target = torch.randint(4, (100,))
        logits = last(F.relu(first(centers[target] + 0.5 * torch.randn(100, 10))))
        confidence = F.softmax(logits, dim=1).amax(dim=1).mean()
        print(f"test {F.cross_entropy(logits, target).item():.4f}, confidence {confidence.item():.3f}")
    print(dict(CALLS))


if __name__ == "__main__":
    main()
