# case: the wrong base: 2 to the power of nats, and the exponential of bits
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Bigram(nn.Module):
    def __init__(self, vocab=27):
        super().__init__()
        self.table = nn.Embedding(vocab, vocab)

    def forward(self, ids):
        return self.table(ids)


def nats_per_token(model, ids):
    logits = model(ids[:-1])
    return F.cross_entropy(logits, ids[1:])


def train(model, ids, steps=50):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    for step in range(steps):
        loss = nats_per_token(model, ids)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            ppl = 2 ** loss.item()  # expect: LH702
            print(f"step {step} loss {loss.item():.3f} perplexity {ppl:.2f}")


@torch.no_grad()
def report(model, ids):
    nll = nats_per_token(model, ids)
    ppl_torch = torch.pow(2, nll)  # expect: LH702
    ppl_numpy = np.exp2(nll.item())  # expect: LH702
    return ppl_torch.item(), ppl_numpy


@torch.no_grad()
def report_bits(model, ids):
    loss = nats_per_token(model, ids).item()
    bits_per_char = loss / math.log(2)
    perplexity = math.exp(bits_per_char)  # expect: LH702
    return {"bpc": bits_per_char, "ppl": perplexity}


if __name__ == "__main__":
    text = torch.randint(27, (400,))
    net = Bigram()
    train(net, text)
    print(report(net, text), report_bits(net, text))
