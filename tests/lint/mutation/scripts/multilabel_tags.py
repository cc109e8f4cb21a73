"""Several tags per article: independent sigmoids, and an F1 score at the threshold."""

import torch
import torch.nn.functional as F
from torch import nn

TAGS = 6


class TagModel(nn.Module):
    def __init__(self, vocab=80, dim=12, tags=TAGS):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab, dim, mode="mean")
        self.norm = nn.LayerNorm(dim)
        self.classifier = nn.Linear(dim, tags)

    def forward(self, tokens):
        hidden = self.norm(self.embedding(tokens))
        return self.classifier(hidden)


def batches(n, size):
    generator = torch.Generator().manual_seed(7)
    for start in range(0, n, size):
        rows = min(size, n - start)
        tokens = torch.randint(0, 80, (rows, 15), generator=generator)
        yield tokens, torch.randint(0, 2, (rows, TAGS), generator=generator).float()


def train(model, optimizer):
    model.train()
    for tokens, tags in batches(50, 16):
        logits = model(tokens)
        loss = F.binary_cross_entropy_with_logits(logits, tags)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


@torch.no_grad()
def evaluate(model):
    model.eval()
    loss = 0.0
    cells = 0
    hits = torch.zeros(TAGS)
    predicted = torch.zeros(TAGS)
    actual = torch.zeros(TAGS)
    for tokens, tags in batches(50, 16):
        logits = model(tokens)
        loss += F.binary_cross_entropy_with_logits(logits, tags, reduction="sum").item()
        cells += tags.numel()
        flags = logits > 0
        hits += (flags & tags.bool()).sum(dim=0)
        predicted += flags.sum(dim=0)
        actual += tags.sum(dim=0)
    f1 = 2 * hits / (predicted + actual).clamp(min=1)
    return loss / cells, f1.mean().item()


if __name__ == "__main__":
    torch.manual_seed(0)
    model = TagModel()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for epoch in range(3):
        train(model, optimizer)
        loss, f1 = evaluate(model)
        print(f"epoch {epoch} loss {loss:.6f} macro F1 {f1:.6f}")
