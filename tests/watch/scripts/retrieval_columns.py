"""Questions and answers with in-batch negatives: log-softmax along both sides of a square, nll_loss."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


class TwoTowers(nn.Module):
    def __init__(self, dim, width=24):
        super().__init__()
        self.question = nn.Sequential(nn.Linear(dim, width), nn.Tanh(), nn.Linear(width, width))
        self.answer = nn.Linear(dim, width)

    def forward(self, q, a):
        return self.question(q) @ self.answer(a).t() / 24**0.5


def loss_of(scores):
    """Each question among all answers (dim 1), and each answer among all questions (dim 0)."""
    pair = torch.arange(scores.size(0))
    by_question = F.nll_loss(F.log_softmax(scores, dim=1), pair)
    by_answer = F.nll_loss(F.log_softmax(scores, dim=0), pair)
    return 0.5 * (by_question + by_answer)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    dim, batch = 12, 24
    rotation = torch.linalg.qr(torch.randn(dim, dim)).Q

    def pairs(n):
        q = torch.randn(n, dim)
        return q, q @ rotation + 0.2 * torch.randn(n, dim)

    model = TwoTowers(dim)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for epoch in range(3):
        for _ in range(20):
            loss = loss_of(model(*pairs(batch)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            scores = model(*pairs(100))
            rank = (scores > scores.diagonal()[:, None]).sum(1) + 1
        print(f"epoch {epoch}: loss {loss.item():.4f}, MRR {(1 / rank).mean().item():.3f}")


if __name__ == "__main__":
    main()
