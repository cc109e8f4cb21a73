# case: small GPT from scratch; log-softmax into cross_entropy is redundant, perplexity as 2 ** nats is wrong
import math
from dataclasses import dataclass

import torch
import torch.nn as nn
from torch.nn import functional as F


@dataclass
class GPTConfig:
    block_size: int = 32
    vocab_size: int = 65
    n_layer: int = 2
    n_head: int = 2
    n_embd: int = 32


class CausalSelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd)
        self.n_head = config.n_head
        mask = torch.tril(torch.ones(config.block_size, config.block_size))
        self.register_buffer("bias", mask.view(1, 1, config.block_size, config.block_size))

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = self.c_attn(x).split(C, dim=2)
        q, k, v = (t.view(B, T, self.n_head, C // self.n_head).transpose(1, 2) for t in (q, k, v))
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf"))
        att = F.softmax(att, dim=-1)
        y = (att @ v).transpose(1, 2).contiguous().view(B, T, C)
        return self.c_proj(y)


class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        self.h = nn.ModuleList([CausalSelfAttention(config) for _ in range(config.n_layer)])
        self.ln_f = nn.LayerNorm(config.n_embd)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)

    def forward(self, idx, targets=None):
        x = self.wte(idx) + self.wpe(torch.arange(idx.size(1), device=idx.device))
        for attn in self.h:
            x = x + attn(x)
        log_probs = F.log_softmax(self.lm_head(self.ln_f(x)), dim=-1)
        loss = None
        if targets is not None:
            loss = F.cross_entropy(log_probs.view(-1, log_probs.size(-1)), targets.view(-1))  # expect: LH103
        return log_probs, loss


@torch.no_grad()
def generate(model, idx, n):
    for _ in range(n):
        log_probs, _ = model(idx[:, -model.wpe.num_embeddings :])
        idx = torch.cat((idx, torch.multinomial(log_probs[:, -1].exp(), 1)), dim=1)
    return idx


model = GPT(GPTConfig())
opt = torch.optim.AdamW(model.parameters(), lr=3e-4)
data = torch.randint(0, 65, (2000,))
for it in range(5):
    ix = torch.randint(len(data) - 33, (4,))
    x = torch.stack([data[i : i + 32] for i in ix])
    y = torch.stack([data[i + 1 : i + 33] for i in ix])
    _, loss = model(x, y)
    opt.zero_grad(set_to_none=True)
    loss.backward()
    opt.step()
    ppl = 2 ** loss.item()  # expect: LH702
    print(f"iter {it}: nll {loss.item():.4f}, perplexity {ppl:.2f}")
print(generate(model, torch.zeros(1, 1, dtype=torch.long), 10).tolist())
