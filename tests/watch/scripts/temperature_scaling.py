"""Calibration: logits of the validation set are collected, one temperature is fitted to them by L-BFGS."""

import argparse

import torch
from torch import nn, optim
from torch.nn import functional as F


class ModelWithTemperature(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.temperature = nn.Parameter(torch.ones(1) * 1.5)

    def forward(self, input):
        return self.model(input) / self.temperature

    def set_temperature(self, batches):
        with torch.no_grad():
            logits = torch.cat([self.model(x) for x, _ in batches])
            labels = torch.cat([y for _, y in batches])
        nll_criterion, ece_criterion = nn.CrossEntropyLoss(), ECELoss()
        before = nll_criterion(logits, labels).item(), ece_criterion(logits, labels).item()
        optimizer = optim.LBFGS([self.temperature], lr=0.05, max_iter=30)

        def closure():
            optimizer.zero_grad()
            loss = nll_criterion(logits / self.temperature, labels)
            loss.backward()
            return loss

        optimizer.step(closure)
        with torch.no_grad():
            scaled = logits / self.temperature
            after = nll_criterion(scaled, labels).item(), ece_criterion(scaled, labels).item()
        return before, after


class ECELoss(nn.Module):
    def __init__(self, n_bins=10):
        super().__init__()
        self.edges = torch.linspace(0, 1, n_bins + 1)

    def forward(self, logits, labels):
        confidences, predictions = F.softmax(logits, dim=1).max(1)
        accuracies = predictions.eq(labels).float()
        ece = torch.zeros(())
        for low, high in zip(self.edges[:-1], self.edges[1:]):
            in_bin = (confidences > low) & (confidences <= high)
            if in_bin.any():
                gap = confidences[in_bin].mean() - accuracies[in_bin].mean()
                ece = ece + gap.abs() * in_bin.float().mean()
        return ece


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    centers = torch.randn(6, 20)

    def data(n):
        y = torch.randint(6, (n,))
        return centers[y] + 2.0 * torch.randn(n, 20), y

    x, y = data(200)
    net = nn.Sequential(nn.Linear(20, 128), nn.ReLU(), nn.Linear(128, 6))
    optimizer = optim.Adam(net.parameters(), lr=5e-3)
    for epoch in range(8):  # long enough to be too sure of itself
        for rows in torch.randperm(200).split(25):
            loss = F.cross_entropy(net(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    print(f"last training batch: {loss.item():.4f} after {epoch + 1} epochs")

    net.eval()
    scaled = ModelWithTemperature(net)
    before, after = scaled.set_temperature([data(64), data(64), data(32)])
    print(f"before: NLL {before[0]:.3f}, ECE {before[1]:.3f}")
    print(f"temperature {scaled.temperature.item():.3f}: NLL {after[0]:.3f}, ECE {after[1]:.3f}")


if __name__ == "__main__":
    main()
