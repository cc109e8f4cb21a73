import torch
from torch import nn


class BagOfWords(nn.Module):
    """Mean of embeddings and a small classifier."""

    def __init__(self, vocab_size, num_classes, dim=64):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, dim, mode="mean")
        self.hidden = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, num_classes)

    def forward(self, tokens, offsets):
        pooled = self.embedding(tokens, offsets)
        return self.out(torch.tanh(self.hidden(pooled)))
