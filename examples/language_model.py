"""A small language model, and its perplexity: one exponential, of all nats over all tokens.

The sentences differ in length, and so do the batches in tokens. A mean of the batches' means, or of their
perplexities, would let the tokens of short batches count for more.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from likelihead.functional import language_model_loss

NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
CHARACTERS = " .,+=" + "".join(sorted(set("".join(NUMBERS))))
PADDING = 0  # what the network reads there; the loss has another mark
NO_TARGET = -100


def sentences() -> list[Tensor]:
    """``two + three = five.`` and the like, as numbers of characters."""
    texts = [
        f"{NUMBERS[a]} + {NUMBERS[b]} = {NUMBERS[a + b]}." for a in range(10) for b in range(10) if a + b < 10
    ]
    return [torch.tensor([CHARACTERS.index(character) for character in text]) for text in texts]


def collate(batch: list[Tensor]) -> tuple[Tensor, Tensor]:
    """What is read, and what is to be said; past the end of a sentence there is nothing to say."""
    read = pad_sequence(batch, batch_first=True, padding_value=PADDING)
    said = pad_sequence(batch, batch_first=True, padding_value=NO_TARGET)
    return read, said


class LanguageModel(nn.Module):
    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.embed = nn.Embedding(len(CHARACTERS), width)
        self.body = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, len(CHARACTERS))

    def forward(self, read: Tensor) -> Tensor:
        states, _ = self.body(self.embed(read))
        return self.head(states)  # [B, T, V]


def perplexity(model: nn.Module, loader: DataLoader[Tensor]) -> float:
    nats, tokens = 0.0, 0
    with torch.no_grad():
        for read, said in loader:
            nats += language_model_loss(model(read), said, shift=True, reduction="sum").item()
            tokens += int((said[:, 1:] != NO_TARGET).sum())
    return math.exp(nats / tokens)


def main() -> None:
    torch.manual_seed(0)
    loader = DataLoader(sentences(), batch_size=16, shuffle=True, collate_fn=collate)
    model = LanguageModel()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    print(f"before  perplexity {perplexity(model, loader):.1f} of {len(CHARACTERS)} characters")
    for _ in range(25):
        for read, said in loader:
            optimizer.zero_grad()
            language_model_loss(model(read), said, shift=True).backward()
            optimizer.step()
    print(f"after   perplexity {perplexity(model, loader):.2f}")


if __name__ == "__main__":
    main()
