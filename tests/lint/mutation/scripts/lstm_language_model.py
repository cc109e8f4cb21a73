"""A word-level LSTM language model; the perplexity is the exp of nats over tokens."""

import math

import torch
import torch.nn as nn

VOCAB = 50
BPTT = 7


class RNNModel(nn.Module):
    def __init__(self, ntoken, ninp, nhid, nlayers, dropout=0.1):
        super().__init__()
        self.nhid, self.nlayers = nhid, nlayers
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(ntoken, ninp)
        self.rnn = nn.LSTM(ninp, nhid, nlayers, batch_first=True)
        self.decoder = nn.Linear(nhid, ntoken)

    def forward(self, input, hidden):
        emb = self.drop(self.encoder(input))
        output, hidden = self.rnn(emb, hidden)
        decoded = self.decoder(self.drop(output))
        return decoded, hidden

    def init_hidden(self, bsz):
        weight = next(self.parameters())
        shape = (self.nlayers, bsz, self.nhid)
        return weight.new_zeros(shape), weight.new_zeros(shape)


def get_batch(source, i):
    seq_len = min(BPTT, source.size(1) - 1 - i)
    return source[:, i : i + seq_len], source[:, i + 1 : i + 1 + seq_len]


def detached(hidden):
    return tuple(state.detach() for state in hidden)


def train(model, source, criterion, lr):
    model.train()
    hidden = model.init_hidden(source.size(0))
    for i in range(0, source.size(1) - 1, BPTT):
        data, targets = get_batch(source, i)
        hidden = detached(hidden)
        model.zero_grad()
        output, hidden = model(data, hidden)
        loss = criterion(output.reshape(-1, VOCAB), targets.reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-lr)


def evaluate(model, source, criterion):
    model.eval()
    total_loss, total_tokens = 0.0, 0
    hidden = model.init_hidden(source.size(0))
    with torch.no_grad():
        for i in range(0, source.size(1) - 1, BPTT):
            data, targets = get_batch(source, i)
            output, hidden = model(data, hidden)
            loss = criterion(output.reshape(-1, VOCAB), targets.reshape(-1))
            total_loss += loss.item() * targets.numel()
            total_tokens += targets.numel()
    return total_loss / total_tokens


if __name__ == "__main__":
    torch.manual_seed(1111)
    corpus = torch.randint(VOCAB, (4, 40)).cumsum(dim=1).remainder(VOCAB)
    model = RNNModel(VOCAB, 12, 16, 2)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(1, 3):
        train(model, corpus, criterion, lr=2.0)
        val_loss = evaluate(model, corpus, criterion)
        val_ppl = math.exp(val_loss)
        print(f"epoch {epoch} loss {val_loss:.6f} ppl {val_ppl:.4f}")
