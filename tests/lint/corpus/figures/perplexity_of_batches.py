# case: perplexities of batches averaged, and the exponential of a mean of batch means, over ragged batches
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

PAD, VOCAB = 0, 60


class LM(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.emb = nn.Embedding(VOCAB, dim, padding_idx=PAD)
        self.lstm = nn.LSTM(dim, dim, batch_first=True)
        self.proj = nn.Linear(dim, VOCAB)

    def forward(self, ids):
        return self.proj(self.lstm(self.emb(ids))[0])


def collate(rows):
    return pad_sequence(rows, batch_first=True, padding_value=PAD)


def batch_loss(model, ids):
    logits = model(ids[:, :-1])
    return F.cross_entropy(logits.reshape(-1, VOCAB), ids[:, 1:].reshape(-1), ignore_index=PAD)


@torch.no_grad()
def mean_of_perplexities(model, loader):
    ppl = 0.0
    for ids in loader:
        loss = batch_loss(model, ids)
        ppl += math.exp(loss.item())  # expect: LH701
    return ppl / len(loader)  # allow: LH501


@torch.no_grad()
def exp_of_mean_of_means(model, loader):
    total = 0.0
    for ids in loader:
        total += batch_loss(model, ids).item()
    avg_loss = total / len(loader)  # expect: LH501
    perplexity = math.exp(avg_loss)  # expect: LH701
    return avg_loss, perplexity


@torch.no_grad()
def one_line(model, loader):
    nlls = []
    for ids in loader:
        nlls.append(batch_loss(model, ids))
    return torch.exp(torch.stack(nlls).mean())  # expect: LH501, LH701


@torch.no_grad()
def numpy_mean(model, loader):
    losses = np.array([batch_loss(model, ids).item() for ids in loader])
    perplexities = np.exp(losses)  # expect: LH701
    return perplexities.mean()  # allow: LH501


if __name__ == "__main__":
    lengths = torch.randint(3, 25, (75,)).tolist()
    sentences = [torch.randint(1, VOCAB, (n,)) for n in lengths]
    batches = DataLoader(sentences, batch_size=8, collate_fn=collate)
    net = LM()
    print(mean_of_perplexities(net, batches), exp_of_mean_of_means(net, batches))
    print(one_line(net, batches).item(), numpy_mean(net, batches))
