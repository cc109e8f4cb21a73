import torch
import torch.nn.functional as F
from torch import nn


class BagOfWords(nn.Module):
    def __init__(self, vocab_size, num_classes, dim=64):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, dim, mode="mean")
        self.out = nn.Linear(dim, num_classes)

    def forward(self, tokens, offsets):
        return F.log_softmax(self.out(torch.tanh(self.embedding(tokens, offsets))), dim=-1)


class BagOfWordsLogits(BagOfWords):
    def forward(self, tokens, offsets):
        return self.out(torch.tanh(self.embedding(tokens, offsets)))
