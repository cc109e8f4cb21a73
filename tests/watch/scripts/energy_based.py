"""Energy-based classifier: nll_loss picks the energy of the label, the log-sum-exp stands beside it."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


class EnergyModel(nn.Module):
    """JEM style: minus the logits are the energies of (x, y), their free energy is that of x."""

    def __init__(self, dim, classes):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(dim, 48), nn.SiLU(), nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, classes)
        )

    def forward(self, x):
        return self.net(x)

    def free_energy(self, x):
        return -torch.logsumexp(self(x), dim=1)


def joint_loss(logits, y):
    # -log p(y | x) = logsumexp(logits) - logits[y]; nll_loss gives the second part.
    picked = F.nll_loss(logits, y, reduction="none")
    return (torch.logsumexp(logits, dim=1) + picked).mean()


def sample(count, centers):
    y = torch.randint(len(centers), (count,))
    return centers[y] + 0.4 * torch.randn(count, centers.size(1)), y


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--margin", type=float, default=2.0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    centers = 1.5 * torch.randn(4, 6)
    model = EnergyModel(6, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(60):
        x, y = sample(48, centers)
        loss = joint_loss(model(x), y)
        outside = 4 * torch.randn(48, 6)  # the energy of what is no data is to be higher by a margin
        gap = model.free_energy(x).mean() - model.free_energy(outside).mean()
        loss = loss + 0.1 * F.relu(gap + args.margin)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            print(f"step {step}: loss {loss.item():.4f}, gap {gap.item():+.3f}")

    model.eval()
    with torch.no_grad():
        x, y = sample(200, centers)
        logits = model(x)
        accuracy = (logits.argmax(1) == y).float().mean()
        threshold = model.free_energy(x).quantile(0.95)
        rejected = (model.free_energy(6 * torch.randn(200, 6)) > threshold).float().mean()
    print(f"nll {joint_loss(logits, y):.4f}, accuracy {accuracy:.3f}, outliers rejected {rejected:.3f}")


if __name__ == "__main__":
    main()
