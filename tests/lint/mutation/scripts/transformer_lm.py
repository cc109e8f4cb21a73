"""A small causal Transformer: trained, evaluated by perplexity, and sampled from with a temperature."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class CausalSelfAttention(nn.Module):
    def __init__(self, d_model, n_head):
        super().__init__()
        self.n_head = n_head
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.proj = nn.Linear(d_model, d_model)

    def forward(self, x):
        batch, time, width = x.shape
        q, k, v = self.qkv(x).view(batch, time, 3, self.n_head, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / math.sqrt(k.size(-1))
        future = torch.ones(time, time, dtype=torch.bool).triu(1)
        attention = scores.masked_fill(future, float("-inf")).softmax(dim=-1)
        return self.proj((attention @ v).transpose(1, 2).reshape(batch, time, width))


class Layer(nn.Module):
    def __init__(self, d_model, n_head):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.attn = CausalSelfAttention(d_model, n_head)
        self.mlp = nn.Sequential(nn.Linear(d_model, 4 * d_model), nn.GELU(), nn.Linear(4 * d_model, d_model))

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class TransformerLM(nn.Module):
    def __init__(self, vocab_size=40, d_model=16, n_head=2, n_layer=2, block_size=12):
        super().__init__()
        self.wte = nn.Embedding(vocab_size, d_model)
        self.wpe = nn.Embedding(block_size, d_model)
        self.layers = nn.ModuleList([Layer(d_model, n_head) for _ in range(n_layer)])
        self.ln_f = nn.LayerNorm(d_model)
        self.lm_head = nn.Linear(d_model, vocab_size, bias=False)

    def forward(self, idx):
        x = self.wte(idx) + self.wpe(torch.arange(idx.size(1)))
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(self.ln_f(x))


@torch.no_grad()
def perplexity(model, batches):
    model.eval()
    nll, tokens = 0.0, 0
    for inputs, targets in batches:
        logits = model(inputs)
        nll += F.cross_entropy(logits.transpose(1, 2), targets, reduction="sum").item()
        tokens += targets.numel()
    return math.exp(nll / tokens)


@torch.no_grad()
def generate(model, idx, steps, temperature=0.8):
    model.eval()
    for _ in range(steps):
        logits = model(idx[:, -12:])[:, -1, :] / temperature
        probs = F.softmax(logits, dim=-1)
        idx = torch.cat([idx, torch.multinomial(probs, num_samples=1)], dim=1)
    return idx


def main():
    torch.manual_seed(0)
    text = torch.randint(40, (10, 13))
    batches = [(rows[:, :-1], rows[:, 1:]) for rows in text.split(4)]
    model = TransformerLM()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(3):
        model.train()
        for inputs, targets in batches:
            logits = model(inputs)
            loss = F.cross_entropy(logits.transpose(1, 2), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    print(f"perplexity {perplexity(model, batches):.6f}")
    print(generate(model, text[:1, :2], 5).tolist())


if __name__ == "__main__":
    main()
