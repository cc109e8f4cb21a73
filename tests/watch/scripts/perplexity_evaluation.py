"""Bits per character and perplexity with a sliding window: nats and characters are counted, divided once."""

import argparse
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

TEXT = "she sells sea shells by the sea shore; the shells she sells are sea shells, i am sure. " * 12


class NGram(nn.Module):
    """Bengio's: the last n characters, embedded side by side."""

    def __init__(self, vocab, context, dim=12, hidden=48):
        super().__init__()
        self.context = context
        self.embed = nn.Embedding(vocab, dim)
        self.hidden = nn.Linear(context * dim, hidden)
        self.out = nn.Linear(hidden, vocab)

    def forward(self, ids):
        windows = ids.unfold(1, self.context, 1)  # B, T - context + 1, context
        return self.out(torch.tanh(self.hidden(self.embed(windows).flatten(2))))


def sliding_nll(model, ids, width, stride):
    """Each character is scored once, with as much before it as the window holds."""
    nats, characters, scored_to = 0.0, 0, model.context
    for begin in range(0, len(ids), stride):
        end = min(begin + width, len(ids))
        new = end - scored_to
        if new > 0:
            window = ids[begin:end].unsqueeze(0)
            logits = model(window[:, :-1])[0, -new:]
            nats += F.cross_entropy(logits, window[0, -new:], reduction="sum").item()
            characters += new
            scored_to = end
        if end == len(ids):
            break
    return nats, characters


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--context", type=int, default=4)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    alphabet = sorted(set(TEXT))
    ids = torch.tensor([alphabet.index(c) for c in TEXT])
    train, held_out = ids[:800], ids[800:]
    model = NGram(len(alphabet), args.context)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    length = 24
    for step in range(60):
        starts = torch.randint(len(train) - length, (16,))
        batch = train[starts[:, None] + torch.arange(length + 1)]
        logits = model(batch[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), batch[:, args.context :].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            print(f"step {step}: {loss.item() / math.log(2):.3f} bits per character")

    model.eval()
    with torch.no_grad():
        nats, characters = sliding_nll(model, held_out, width=32, stride=20)
    bits = nats / characters / math.log(2)
    print(f"{bits:.3f} bits, perplexity {math.exp(nats / characters):.3f}, the same as {2**bits:.3f}")


if __name__ == "__main__":
    main()
