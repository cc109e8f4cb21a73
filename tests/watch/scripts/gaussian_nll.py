"""Regression with its own noise: mean and variance by one network, GaussianNLLLoss, a deep ensemble."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


class MeanVariance(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(1, 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh())
        self.mean, self.raw_variance = nn.Linear(48, 1), nn.Linear(48, 1)

    def forward(self, x):
        h = self.body(x)
        return self.mean(h), F.softplus(self.raw_variance(h)) + 1e-4


def waves(n):
    x = 4 * torch.rand(n, 1) - 2
    noise = 0.05 + 0.3 * torch.sigmoid(4 * x)
    return x, torch.sin(2 * x) + noise * torch.randn(n, 1)


def fit(model, x, y, steps):
    criterion = nn.GaussianNLLLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        mean, variance = model(x)
        loss = criterion(mean, y, variance)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--members", type=int, default=2)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    x, y = waves(256)
    ensemble = [MeanVariance() for _ in range(args.members)]
    for i, model in enumerate(ensemble):
        print(f"member {i}: {fit(model, x, y, 60):.4f}")

    with torch.no_grad():
        x, y = waves(500)
        means, variances = map(torch.stack, zip(*[model(x) for model in ensemble]))
        mean = means.mean(0)
        variance = (variances + means**2).mean(0) - mean**2
        nll = F.gaussian_nll_loss(mean, y, variance, full=True)
        inside = ((y - mean).abs() < 1.96 * variance.sqrt()).float().mean()
    print(f"ensemble: nll {nll.item():.4f}, {inside.item():.1%} within the 95% interval")


if __name__ == "__main__":
    main()
