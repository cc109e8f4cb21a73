"""Delivery times with outliers: Huber for the middle, the pinball loss for three quantiles at once."""

import argparse

import torch
import torch.nn as nn

QUANTILES = torch.tensor([0.1, 0.5, 0.9])


def pinball(predictions, target):
    """predictions [B, Q] against targets [B]: every quantile of a row against its one target."""
    error = target.unsqueeze(1) - predictions
    return torch.maximum(QUANTILES * error, (QUANTILES - 1) * error).mean()


def deliveries(n):
    x = torch.rand(n, 3)
    minutes = 2 * x[:, 0] + x[:, 1] * x[:, 2] + (0.2 + 0.5 * x[:, 2]) * torch.randn(n)
    late = torch.rand(n) < 0.03
    return x, minutes + late * 10


def train(model, loss_fn, data, steps, squeeze):
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for step in range(steps):
        x, y = data(128)
        output = model(x)
        loss = loss_fn(output.squeeze(1) if squeeze else output, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            print(f"  step {step}: {loss.item():.4f}")
    return model.eval()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    middle = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 1))
    quantiles = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, len(QUANTILES)))
    print("huber")
    train(middle, nn.HuberLoss(delta=1.0), deliveries, 40, squeeze=True)
    print("pinball")
    train(quantiles, pinball, deliveries, 60, squeeze=False)
    with torch.no_grad():
        x, y = deliveries(1000)
        covered = (y.unsqueeze(1) < quantiles(x)).float().mean(dim=0)
        print("share below each quantile:", [round(c, 3) for c in covered.tolist()])
        print(f"median error {(middle(x).squeeze(1) - y).abs().median().item():.3f}")


if __name__ == "__main__":
    main()
