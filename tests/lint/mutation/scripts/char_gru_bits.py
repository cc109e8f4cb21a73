"""A character GRU measured in bits per character."""

import math
import string

import torch
from torch import nn

ALPHABET = string.ascii_lowercase + " "
TEXT = "the quick brown fox jumps over the lazy dog while the dog dreams of a quicker fox " * 4


def encode(text):
    return torch.tensor([ALPHABET.index(c) for c in text])


class CharGRU(nn.Module):
    def __init__(self, n_chars, hidden_size=24):
        super().__init__()
        self.embed = nn.Embedding(n_chars, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size, batch_first=True)
        self.fc = nn.Linear(hidden_size, n_chars)

    def forward(self, chars):
        output, _ = self.gru(self.embed(chars))
        return self.fc(output)


def windows(ids, length):
    for start in range(0, len(ids) - 1, length):
        chunk = ids[start : start + length + 1]
        if len(chunk) > 1:
            yield chunk[None, :-1], chunk[None, 1:]


def fit(model, ids, epochs):
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=5e-3)
    for _ in range(epochs):
        model.train()
        for inputs, targets in windows(ids, 30):
            logits = model(inputs)
            loss = loss_fn(logits.permute(0, 2, 1), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


@torch.no_grad()
def bits_per_char(model, ids):
    sum_fn = nn.CrossEntropyLoss(reduction="sum")
    model.eval()
    nats = 0.0
    chars = 0
    for inputs, targets in windows(ids, 50):
        logits = model(inputs)
        nats += sum_fn(logits.permute(0, 2, 1), targets).item()
        chars += targets.numel()
    return nats / chars / math.log(2)


def main():
    torch.manual_seed(0)
    ids = encode(TEXT)
    model = CharGRU(len(ALPHABET))
    fit(model, ids[:250], epochs=2)
    bpc = bits_per_char(model, ids[250:])
    perplexity = 2**bpc
    print(f"{bpc:.6f} bits per character, perplexity {perplexity:.6f}")


if __name__ == "__main__":
    main()
