"""Activation checkpointing of the blocks, and of the head with its loss in chunks: those are run twice."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint


class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.mix = nn.GRU(dim, dim, batch_first=True)
        self.ff = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x):
        x = x + self.mix(self.norm(x))[0]
        return x + self.ff(x)


class Model(nn.Module):
    def __init__(self, vocab, dim=24, depth=2):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.blocks = nn.ModuleList(Block(dim) for _ in range(depth))
        self.head = nn.Linear(dim, vocab)

    def hidden(self, ids):
        x = self.embed(ids)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.training else block(x)
        return x.flatten(0, 1)

    def chunk_loss(self, hidden, target):
        return F.cross_entropy(self.head(hidden), target, reduction="sum")

    def forward(self, ids, target, chunks=3):
        hidden, target = self.hidden(ids), target.flatten()
        total = hidden.new_zeros(())
        for h, t in zip(hidden.chunk(chunks), target.chunk(chunks)):
            total = total + checkpoint(self.chunk_loss, h, t, use_reentrant=False)
        return total / len(target)


def counting(batch, length, vocab):
    start, stride = torch.randint(vocab, (batch, 1)), torch.randint(1, 4, (batch, 1))
    seen = (start + stride * torch.arange(length + 1)) % vocab
    return seen[:, :-1], seen[:, 1:]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    vocab = 16
    model = Model(vocab)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(40):
        ids, target = counting(16, 10, vocab)
        loss = model(ids, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            print(f"step {step}: {loss.item():.4f}")

    model.eval()
    with torch.no_grad():
        ids, target = counting(64, 10, vocab)
        logits = model.head(model.hidden(ids))
        print(f"held out: {F.cross_entropy(logits, target.flatten()).item():.4f}", end=", ")
        print(f"next right: {(logits.argmax(-1) == target.flatten()).float().mean().item():.3f}")


if __name__ == "__main__":
    main()
