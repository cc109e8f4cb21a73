# case: skip-gram with negative sampling; logsigmoid of dot products written out, no loss class at all
import random
from collections import Counter

import torch
import torch.nn as nn
import torch.nn.functional as F

corpus = "the quick brown fox jumps over the lazy dog while the other dog sleeps".split()
counts = Counter(corpus)
vocab = {w: i for i, (w, _) in enumerate(counts.most_common())}
freq = torch.tensor([counts[w] for w in vocab], dtype=torch.float) ** 0.75


class SkipGramNeg(nn.Module):
    def __init__(self, n_vocab, n_embed, noise_dist):
        super().__init__()
        self.noise_dist = noise_dist
        self.in_embed = nn.Embedding(n_vocab, n_embed)
        self.out_embed = nn.Embedding(n_vocab, n_embed)
        self.in_embed.weight.data.uniform_(-1, 1)
        self.out_embed.weight.data.uniform_(-1, 1)

    def forward(self, center, context, n_samples=5):
        v = self.in_embed(center)
        u = self.out_embed(context)
        noise = torch.multinomial(self.noise_dist, center.size(0) * n_samples, replacement=True)
        n = self.out_embed(noise).view(center.size(0), n_samples, -1)
        pos = F.logsigmoid((u * v).sum(dim=1))
        neg = F.logsigmoid(-torch.bmm(n, v.unsqueeze(2)).squeeze(2)).sum(dim=1)
        return -(pos + neg).mean()


def skipgrams(words, window=2):
    for i, w in enumerate(words):
        for j in range(max(0, i - window), min(len(words), i + window + 1)):
            if i != j:
                yield vocab[w], vocab[words[j]]


def nearest(model, word, k=3):
    table = F.normalize(model.in_embed.weight.detach(), dim=1)
    sims = table @ table[vocab[word]]
    _, idx = sims.topk(k + 1)
    names = list(vocab)
    return [names[i] for i in idx.tolist()[1:]]


model = SkipGramNeg(len(vocab), 8, freq / freq.sum())
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
pairs = list(skipgrams(corpus))
for e in range(5):
    random.shuffle(pairs)
    for b in range(0, len(pairs), 16):
        center, context = torch.tensor(pairs[b : b + 16]).t()
        loss = model(center, context)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item(), nearest(model, "dog"))
