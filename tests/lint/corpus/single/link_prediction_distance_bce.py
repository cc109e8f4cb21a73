# case: probabilities without a sigmoid: exp(-distance) and a rescaled, clamped cosine, both right for BCELoss
import torch
from torch import nn


class LatentSpace(nn.Module):
    """Two nodes are linked with probability exp(-|z_i - z_j|)."""

    def __init__(self, n_nodes, dim=4):
        super().__init__()
        self.z = nn.Embedding(n_nodes, dim)

    def forward(self, i, j):
        distance = (self.z(i) - self.z(j)).norm(dim=-1)
        return torch.exp(-distance)


class CosineLink(nn.Module):
    def __init__(self, n_feat, dim=8):
        super().__init__()
        self.encoder = nn.Linear(n_feat, dim)

    def forward(self, a, b):
        cos = nn.functional.cosine_similarity(self.encoder(a), self.encoder(b), dim=-1)
        return ((1 + cos) / 2).clamp(1e-6, 1 - 1e-6)


bce = nn.BCELoss()


def fit(model, sampler, steps=20):
    opt = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(steps):
        left, right, linked = sampler()
        p = model(left, right)
        loss = bce(p, linked)
        opt.zero_grad()
        loss.backward()
        opt.step()
    hits = ((p > 0.5).float() == linked).float().mean()
    return loss.item(), hits.item()


def edges(n=50, size=64):
    i, j = torch.randint(0, n, (2, size))
    return i, j, ((i % 2) == (j % 2)).float()


def pairs(size=64):
    a, b = torch.randn(2, size, 12)
    return a, b, (a[:, 0] * b[:, 0] > 0).float()


print("latent space", fit(LatentSpace(50), edges))
print("cosine", fit(CosineLink(12), pairs))
