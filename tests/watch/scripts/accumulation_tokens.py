"""Gradient accumulation over sentences of any length: sums of nats over the tokens of the whole step."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F

IGNORE = -100


class LM(nn.Module):
    def __init__(self, vocab, width=32):
        super().__init__()
        self.embed = nn.Embedding(vocab, width)
        self.rnn = nn.GRU(width, width, batch_first=True)
        self.lm_head = nn.Linear(width, vocab)

    def forward(self, ids):
        return self.lm_head(self.rnn(self.embed(ids))[0])


def micro_batch(follows, size):
    """Padded to its longest sentence; nothing is asked for after a sentence ends."""
    lengths = torch.randint(3, 21, (size,))
    ids = [torch.randint(len(follows), (size,))]
    for _ in range(int(lengths.max())):
        jump = torch.rand(size) < 0.1
        ids.append(torch.where(jump, torch.randint(len(follows), (size,)), follows[ids[-1]]))
    ids = torch.stack(ids, dim=1)
    after = torch.arange(ids.size(1) - 1) >= lengths[:, None]
    return ids[:, :-1].masked_fill(after, 0), ids[:, 1:].masked_fill(after, IGNORE)


def train(model, optimizer, follows, steps, accumulate):
    for step in range(steps):
        micro_batches = [micro_batch(follows, 8) for _ in range(accumulate)]
        num_tokens = sum((labels != IGNORE).sum() for _, labels in micro_batches)
        step_loss = 0.0
        for ids, labels in micro_batches:
            logits = model(ids)
            loss = F.cross_entropy(
                logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE, reduction="sum"
            )
            loss = loss / num_tokens
            loss.backward()
            step_loss += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 0:
            print(f"step {step}: {step_loss:.4f} nats per token, {int(num_tokens)} tokens")


@torch.no_grad()
def evaluate(model, follows, batches=4):
    nll, count = 0.0, 0
    for _ in range(batches):
        ids, labels = micro_batch(follows, 16)
        logits = model(ids).flatten(0, 1)
        nll += F.cross_entropy(logits, labels.flatten(), ignore_index=IGNORE, reduction="sum").item()
        count += int((labels != IGNORE).sum())
    return nll / count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=40)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    follows = torch.randperm(20)
    model = LM(20)
    train(model, torch.optim.Adam(model.parameters(), lr=2e-2), follows, args.steps, accumulate=3)
    print(f"held out: {evaluate(model, follows):.4f} nats per token")


if __name__ == "__main__":
    main()
