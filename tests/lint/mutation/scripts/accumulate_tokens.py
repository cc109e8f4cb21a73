"""Gradient accumulation for a language model: sums of nats, over the tokens of the whole step."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence

PAD = 0
VOCAB = 45


class WordModel(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, dim, padding_idx=PAD)
        self.rnn = nn.GRU(dim, dim, batch_first=True)
        self.lm_head = nn.Linear(dim, VOCAB)

    def forward(self, tokens):
        states, _ = self.rnn(self.embedding(tokens))
        return self.lm_head(states)


def micro_batches(seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(3):
        lengths = torch.randint(4, 12, (5,), generator=generator).tolist()
        texts = [torch.randint(1, VOCAB, (n,), generator=generator) for n in lengths]
        yield pad_sequence(texts, batch_first=True, padding_value=PAD)


def summed_nll(model, tokens):
    logits = model(tokens[:, :-1])
    targets = tokens[:, 1:]
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD, reduction="sum")


def training_step(model, optimizer, seed):
    model.train()
    batches = list(micro_batches(seed))
    n_tokens = sum((tokens[:, 1:] != PAD).sum() for tokens in batches)
    optimizer.zero_grad()
    total = 0.0
    for tokens in batches:
        loss = summed_nll(model, tokens) / n_tokens
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total


@torch.no_grad()
def perplexity(model, seed):
    model.eval()
    nats, n_tokens = 0.0, 0
    for tokens in micro_batches(seed):
        nats += summed_nll(model, tokens).item()
        n_tokens += (tokens[:, 1:] != PAD).sum().item()
    return torch.tensor(nats / n_tokens).exp().item()


def main():
    torch.manual_seed(0)
    model = WordModel()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(4):
        print(f"step {step} nats per token {training_step(model, optimizer, step):.6f}")
    print(f"perplexity {perplexity(model, 99):.6f}")


if __name__ == "__main__":
    main()
