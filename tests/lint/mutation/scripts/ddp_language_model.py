"""A language model over several ranks: nats and tokens are added up apart, then one perplexity."""

import math
import os
import tempfile

import torch
import torch.distributed as dist
from torch import nn

VOCAB_SIZE = 32


class BigramMLP(nn.Module):
    def __init__(self, vocab_size, width=16):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        self.hidden = nn.Linear(width, width)
        self.output = nn.Linear(width, vocab_size)

    def forward(self, tokens):
        return self.output(torch.tanh(self.hidden(self.embedding(tokens))))


def next_token_loss(logits, tokens, reduction="mean"):
    shifted = logits[:, :-1].reshape(-1, VOCAB_SIZE)
    return nn.functional.cross_entropy(shifted, tokens[:, 1:].reshape(-1), reduction=reduction)


@torch.no_grad()
def evaluate(model, batches):
    model.eval()
    total_nats = torch.tensor(0.0)
    total_tokens = torch.tensor(0.0)
    for tokens in batches:
        logits = model(tokens)
        total_nats += next_token_loss(logits, tokens, reduction="sum")
        total_tokens += tokens[:, 1:].numel()
    dist.all_reduce(total_nats)
    dist.all_reduce(total_tokens)
    mean = total_nats / total_tokens
    return mean.item(), math.exp(mean.item())


def run(rank, world_size, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/init", rank=rank, world_size=world_size)
    torch.manual_seed(0)
    model = nn.parallel.DistributedDataParallel(BigramMLP(VOCAB_SIZE))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2)
    documents = [torch.randint(VOCAB_SIZE, (4, length)) for length in (6, 11, 8)]
    for _ in range(2):
        model.train()
        for tokens in documents[rank::world_size]:
            logits = model(tokens)
            loss = next_token_loss(logits, tokens)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    nats, perplexity = evaluate(model, documents[rank::world_size])
    if rank == 0:
        print(f"nats {nats:.6f} perplexity {perplexity:.6f}")
    dist.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as shared:
        run(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)), shared)
