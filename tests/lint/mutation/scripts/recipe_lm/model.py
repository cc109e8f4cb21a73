"""A recurrent language model with tied weights."""

from data import PAD, VOCAB
from torch import nn


class RecipeModel(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, dim, padding_idx=PAD)
        self.rnn = nn.LSTM(dim, dim, batch_first=True)
        self.norm = nn.LayerNorm(dim)
        self.output = nn.Linear(dim, VOCAB)

    def forward(self, tokens):
        states, _ = self.rnn(self.embedding(tokens))
        return self.output(self.norm(states))
