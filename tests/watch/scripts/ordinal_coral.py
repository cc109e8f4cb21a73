"""Ratings 1 to 5 as ordered classes: four binary questions "more than k?", one weight vector, four biases."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F

GRADES = 5


class CoralNet(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(dim, 32), nn.ReLU(), nn.Linear(32, 1, bias=False))
        self.bias = nn.Parameter(torch.tensor([1.4, 0.4, -0.4, -1.4]))

    def forward(self, x):
        return self.body(x) + self.bias  # [B, 1] + [4]: meant to broadcast


def levels(grade):
    """Grade 3 of 0..4 is [1, 1, 1, 0]."""
    return (grade.unsqueeze(1) > torch.arange(GRADES - 1)).float()


def reviews(count, taste):
    x = torch.randn(count, len(taste))
    quality = x @ taste / taste.norm() + 0.2 * torch.randn(count)
    return x, torch.bucketize(quality, torch.tensor([-1.0, -0.3, 0.3, 1.0]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=60)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    taste = torch.randn(8)
    model = CoralNet(8)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    importance = torch.tensor([1.0, 1.2, 1.2, 1.0])
    for step in range(args.steps):
        x, grade = reviews(64, taste)
        # weight: one number per question, the same for every row
        loss = F.binary_cross_entropy_with_logits(model(x), levels(grade), weight=importance)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 15 == 0:
            print(f"step {step}: loss {loss.item():.4f}")

    with torch.no_grad():
        x, grade = reviews(400, taste)
        probabilities = torch.sigmoid(model(x))
        predicted = (probabilities > 0.5).sum(dim=1)
        mae = (predicted - grade).abs().float().mean()
    print(
        f"mean absolute error {mae.item():.3f} grades, exact {(predicted == grade).float().mean().item():.3f}"
    )


if __name__ == "__main__":
    main()
