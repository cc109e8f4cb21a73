"""Fraud, a few in a hundred: the head's bias starts at the prior's log-odds; a threshold by cost."""

import argparse
import math

import torch
import torch.nn.functional as F
from torch import nn


def transactions(count, direction):
    x = torch.randn(count, direction.numel())
    risk = x @ direction
    y = (torch.rand(count) < torch.sigmoid(5 * risk - 9)).float()
    return x, y


class FraudNet(nn.Module):
    def __init__(self, features, prior):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(features, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU())
        self.head = nn.Linear(16, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.constant_(self.head.bias, math.log(prior / (1 - prior)))

    def forward(self, x):
        return self.head(self.body(x))


def auc(scores, labels):
    order = scores.argsort()
    ranks = torch.empty_like(scores)
    ranks[order] = torch.arange(1, len(scores) + 1, dtype=scores.dtype)
    positives = labels.sum()
    negatives = len(labels) - positives
    return ((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives)).item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    direction = torch.randn(8)
    direction /= direction.norm()
    x, y = transactions(4096, direction)
    x_val, y_val = transactions(2000, direction)
    model = FraudNet(8, y.mean().item())
    print(f"{y.mean().item():.1%} of the rows are fraud")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for epoch in range(args.epochs):
        for rows in torch.randperm(len(x)).split(512):
            optimizer.zero_grad()
            logits = model(x[rows])
            loss = F.binary_cross_entropy_with_logits(logits, y[rows].unsqueeze(1))
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            val_logits = model(x_val).squeeze(1)
            val_loss = F.binary_cross_entropy_with_logits(val_logits, y_val)
        print(f"epoch {epoch}: val loss {val_loss.item():.4f}, AUC {auc(val_logits, y_val):.4f}")

    probabilities = torch.sigmoid(val_logits)
    costs = {}
    for t in (0.05, 0.1, 0.2, 0.5):
        missed = (probabilities < t) & (y_val == 1)
        false_alarms = (probabilities >= t) & (y_val == 0)
        costs[t] = int(10 * missed.sum() + false_alarms.sum())
    threshold = min(costs, key=costs.get)
    print(f"alarm at {threshold}: cost {costs[threshold]}")


if __name__ == "__main__":
    main()
