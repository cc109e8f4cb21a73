# case: a word language model: equal bptt batches averaged per log interval, the evaluation weighted by length
import math
import time

import torch
from torch import nn

BPTT, LOG_INTERVAL = 20, 10


class RNNModel(nn.Module):
    def __init__(self, ntoken, ninp=32, nhid=32, tie_weights=True):
        super().__init__()
        self.ntoken = ntoken
        self.drop = nn.Dropout(0.2)
        self.encoder = nn.Embedding(ntoken, ninp)
        self.rnn = nn.LSTM(ninp, nhid)
        self.decoder = nn.Linear(nhid, ntoken)
        if tie_weights:
            self.decoder.weight = self.encoder.weight

    def forward(self, data, hidden=None):
        output, hidden = self.rnn(self.drop(self.encoder(data)), hidden)
        return self.decoder(self.drop(output)).view(-1, self.ntoken), hidden


def batchify(ids, bsz):
    nbatch = ids.size(0) // bsz
    return ids[: nbatch * bsz].view(bsz, -1).t().contiguous()


def get_batch(source, i):
    seq_len = min(BPTT, len(source) - 1 - i)
    return source[i : i + seq_len], source[i + 1 : i + 1 + seq_len].view(-1)


def repackage(hidden):
    return tuple(h.detach() for h in hidden)


def train(model, criterion, source, lr=1.0):
    model.train()
    total_loss, hidden, start = 0.0, None, time.time()
    for batch, i in enumerate(range(0, source.size(0) - 1, BPTT)):
        data, targets = get_batch(source, i)
        model.zero_grad()
        output, hidden = model(data, hidden)
        hidden = repackage(hidden)
        loss = criterion(output, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-lr)
        total_loss += loss.item()
        if (batch + 1) % LOG_INTERVAL == 0:
            cur_loss = total_loss / LOG_INTERVAL
            ms = (time.time() - start) * 1000 / LOG_INTERVAL
            print(
                f"{batch + 1:5d} batches | ms {ms:.2f} | loss {cur_loss:.2f} | ppl {math.exp(cur_loss):8.2f}"
            )
            total_loss, start = 0.0, time.time()


@torch.no_grad()
def evaluate(model, criterion, source):
    model.eval()
    total_loss, hidden = 0.0, None
    for i in range(0, source.size(0) - 1, BPTT):
        data, targets = get_batch(source, i)
        output, hidden = model(data, hidden)
        total_loss += len(data) * criterion(output, targets).item()
    return total_loss / (len(source) - 1)


if __name__ == "__main__":
    corpus = batchify(torch.randint(200, (9000,)), 8)
    net, loss_fn = RNNModel(200), nn.CrossEntropyLoss()
    train(net, loss_fn, corpus)
    val_loss = evaluate(net, loss_fn, corpus[:131])
    print(f"valid loss {val_loss:5.2f} | valid ppl {math.exp(val_loss):8.2f}")
