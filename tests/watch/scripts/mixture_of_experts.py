"""Experts and a softmax gate: weighted logits into cross_entropy, mixed distributions into nll_loss."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


class MixtureOfExperts(nn.Module):
    def __init__(self, dim, classes, experts):
        super().__init__()
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, 24), nn.ReLU(), nn.Linear(24, classes)) for _ in range(experts)
        )

    def forward(self, x):
        expert_logits = torch.stack([expert(x) for expert in self.experts], dim=1)  # B, E, C
        gates = torch.softmax(self.gate(x), dim=1)
        return (gates.unsqueeze(2) * expert_logits).sum(dim=1), gates

    def log_mixture(self, x):
        expert_logits = torch.stack([expert(x) for expert in self.experts], dim=1)
        log_gates = F.log_softmax(self.gate(x), dim=1)
        return torch.logsumexp(log_gates.unsqueeze(2) + F.log_softmax(expert_logits, dim=2), dim=1)


def load_balance(gates):
    importance = gates.sum(dim=0)
    return importance.var() / importance.mean() ** 2


def patches(n, maps):
    """Which map holds depends on where the point lies."""
    x = torch.randn(n, maps.size(1))
    region = (x[:, 0] > 0).long()
    return x, torch.einsum("nd,ndc->nc", x, maps[region]).argmax(dim=1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--experts", type=int, default=3)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    maps = torch.randn(2, 6, 4)
    model, mixture = MixtureOfExperts(6, 4, args.experts), MixtureOfExperts(6, 4, args.experts)
    optimizer = torch.optim.Adam([*model.parameters(), *mixture.parameters()], lr=2e-2)
    for step in range(70):
        x, y = patches(96, maps)
        logits, gates = model(x)
        loss = F.cross_entropy(logits, y) + 0.01 * load_balance(gates)
        mixture_loss = F.nll_loss(mixture.log_mixture(x), y)
        optimizer.zero_grad()
        (loss + mixture_loss).backward()
        optimizer.step()
        if step % 20 == 0:
            print(f"step {step}: weighted logits {loss.item():.4f}, mixture {mixture_loss.item():.4f}")

    with torch.no_grad():
        x, y = patches(300, maps)
        logits, gates = model(x)
        log_probs = mixture.log_mixture(x)
        print(f"accuracy {(logits.argmax(1) == y).float().mean().item():.3f}", end=", ")
        print(f"{(log_probs.argmax(1) == y).float().mean().item():.3f}", end=", ")
        print(f"mean gates {[round(g, 2) for g in gates.mean(0).tolist()]}")


if __name__ == "__main__":
    main()
