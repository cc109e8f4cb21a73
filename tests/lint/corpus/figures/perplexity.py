# case: perplexities and bits that are right: summed nats over tokens, 2 ** bits, bits per byte, torchmetrics
import math

import torch
import torch.nn.functional as F
from torch import nn
from torchmetrics.text import Perplexity


class TinyLM(nn.Module):
    def __init__(self, vocab=80, dim=32):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim)
        self.rnn = nn.GRU(dim, dim, batch_first=True)
        self.out = nn.Linear(dim, vocab)

    def forward(self, ids):
        return self.out(self.rnn(self.emb(ids))[0])


@torch.no_grad()
def corpus_perplexity(model, batches, pad=0):
    nats, tokens = 0.0, 0
    for ids in batches:
        logits, target = model(ids[:, :-1]), ids[:, 1:]
        nats += F.cross_entropy(logits.transpose(1, 2), target, ignore_index=pad, reduction="sum").item()
        tokens += (target != pad).sum().item()
    return math.exp(nats / tokens)


@torch.no_grad()
def weighted_perplexity(model, batches, pad=0):
    total, count = 0.0, 0
    for ids in batches:
        logits, target = model(ids[:, :-1]), ids[:, 1:]
        n = (target != pad).sum().item()
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=pad)
        total += loss.item() * n
        count += n
    return math.exp(total / count)


@torch.no_grad()
def in_bits(model, ids, text):
    nll = F.cross_entropy(model(ids[:, :-1]).transpose(1, 2), ids[:, 1:])
    bits = nll / math.log(2)
    n_bytes = len(text.encode("utf-8"))
    bits_per_byte = nll.item() * ids[:, 1:].numel() / math.log(2) / n_bytes
    return 2**bits, 2 ** (nll.item() / math.log(2)), bits_per_byte


@torch.no_grad()
def by_torchmetrics(model, batches, pad=0):
    metric = Perplexity(ignore_index=pad)
    for ids in batches:
        metric.update(model(ids[:, :-1]), ids[:, 1:])
    return metric.compute()


@torch.no_grad()
def hardest_sentences(model, sentences, k=3):
    """One perplexity for each sentence, to sort by; they are not averaged."""
    scores = []
    for ids in sentences:
        loss = F.cross_entropy(model(ids[None, :-1])[0], ids[1:])
        scores.append(math.exp(loss.item()))
    return sorted(scores, reverse=True)[:k]


@torch.no_grad()
def token_probability(model, ids):
    nll = F.cross_entropy(model(ids[:, :-1]).transpose(1, 2), ids[:, 1:], reduction="none")
    return torch.exp(-nll)


def log2_loss(probabilities):
    # a probability by hand, in bits from the start
    entropy = -(probabilities * probabilities.log2()).sum(dim=-1)
    return 2**entropy
