"""A pointer to the largest of a set: log-softmax over positions, those beyond the end at -inf."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


class Pointer(nn.Module):
    def __init__(self, dim, width=32):
        super().__init__()
        self.embed = nn.Linear(dim, width)
        self.context = nn.Linear(width, width)
        self.score = nn.Sequential(nn.Tanh(), nn.Linear(width, 1))

    def forward(self, items, mask):
        h = self.embed(items)
        pooled = (h * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        scores = self.score(h + self.context(pooled).unsqueeze(1)).squeeze(-1)
        scores = scores.masked_fill(~mask, float("-inf"))
        return F.log_softmax(scores, dim=-1)


def sets(batch, longest, direction):
    lengths = torch.randint(3, longest + 1, (batch,))
    mask = torch.arange(longest) < lengths.unsqueeze(1)
    items = torch.randn(batch, longest, len(direction))
    values = (items @ direction).masked_fill(~mask, float("-inf"))
    return items, mask, values.argmax(dim=1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=1e-2)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    direction = torch.randn(5)
    model = Pointer(5)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    for step in range(60):
        items, mask, target = sets(48, 10, direction)
        log_pointer = model(items, mask)
        loss = F.nll_loss(log_pointer, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 15 == 0:
            print(f"step {step}: loss {loss.item():.4f}")

    model.eval()
    with torch.no_grad():
        items, mask, target = sets(200, 10, direction)
        log_pointer = model(items, mask)
        probabilities = log_pointer.exp()
        right = (log_pointer.argmax(dim=1) == target).float().mean()
        outside = probabilities[~mask].max()
    print(f"right {right.item():.3f}, probability outside a set {outside.item():.1f}")


if __name__ == "__main__":
    main()
