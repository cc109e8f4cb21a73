"""SimCLR: NT-Xent as a cross-entropy over 2N views, with oneself ruled out by minus infinity."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(nn.Linear(30, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 32))
        self.g = nn.Sequential(nn.ReLU(), nn.Linear(32, 16))

    def forward(self, x):
        feature = self.f(x)
        return F.normalize(feature, dim=-1), F.normalize(self.g(feature), dim=-1)


def nt_xent(out_1, out_2, temperature=0.5):
    out = torch.cat([out_1, out_2], dim=0)
    n = out_1.size(0)
    sim = out @ out.t() / temperature
    sim = sim.masked_fill(torch.eye(2 * n, dtype=torch.bool), float("-inf"))
    positives = torch.cat([torch.arange(n, 2 * n), torch.arange(n)])
    return F.cross_entropy(sim, positives)


def augment(x):
    keep = (torch.rand_like(x) > 0.15).float()
    return x * keep + 0.1 * torch.randn_like(x)


def linear_probe(model, x, y, classes, steps=15):
    """How well the classes, which were never shown, can be read from the features."""
    model.eval()
    with torch.no_grad():
        features, _ = model(x)
    probe = nn.Linear(features.size(1), classes)
    optimizer = torch.optim.Adam(probe.parameters(), lr=0.1)
    for _ in range(steps):
        loss = F.cross_entropy(probe(features), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (probe(features).argmax(1) == y).float().mean().item(), loss.item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperature", type=float, default=0.5)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    classes = 5
    centers = torch.randn(classes, 30)
    y = torch.randint(classes, (320,))
    x = centers[y] + 0.8 * torch.randn(320, 30)

    model = Encoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-6)
    for epoch in range(4):
        model.train()
        total_loss, total_num = 0.0, 0
        for part in torch.randperm(320).split(32):
            _, out_1 = model(augment(x[part]))
            _, out_2 = model(augment(x[part]))
            loss = nt_xent(out_1, out_2, args.temperature)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total_num += len(part)
            total_loss += loss.item() * len(part)
        print(f"Train Epoch: [{epoch}] Loss: {total_loss / total_num:.4f}")
    accuracy, loss = linear_probe(model, x, y, classes)
    print(f"linear probe: accuracy {accuracy:.3f}, loss {loss:.3f}")


if __name__ == "__main__":
    main()
