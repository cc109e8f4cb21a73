"""Translation with an encoder and a decoder; sentences are padded and the padding is ignored."""

import random

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

PAD_IDX, SOS_IDX, EOS_IDX = 0, 1, 2
SRC_VOCAB, TRG_VOCAB = 30, 34


class Encoder(nn.Module):
    def __init__(self, input_dim, emb_dim, hid_dim):
        super().__init__()
        self.embedding = nn.Embedding(input_dim, emb_dim, padding_idx=PAD_IDX)
        self.rnn = nn.GRU(emb_dim, hid_dim, batch_first=True)

    def forward(self, src):
        _, hidden = self.rnn(self.embedding(src))
        return hidden


class Decoder(nn.Module):
    def __init__(self, output_dim, emb_dim, hid_dim):
        super().__init__()
        self.embedding = nn.Embedding(output_dim, emb_dim, padding_idx=PAD_IDX)
        self.rnn = nn.GRU(emb_dim, hid_dim, batch_first=True)
        self.fc_out = nn.Linear(hid_dim, output_dim)

    def forward(self, trg, hidden):
        output, hidden = self.rnn(self.embedding(trg), hidden)
        return self.fc_out(output)


class Seq2Seq(nn.Module):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, src, trg):
        return self.decoder(trg, self.encoder(src))


def make_pairs(n):
    rng = random.Random(0)
    pairs = []
    for _ in range(n):
        words = [rng.randrange(3, 30) for _ in range(rng.randrange(3, 9))]
        pairs.append((words, [SOS_IDX, *[w + 3 for w in reversed(words)], EOS_IDX]))
    return pairs


def collate(pairs):
    src = pad_sequence([torch.tensor(s) for s, _ in pairs], batch_first=True, padding_value=PAD_IDX)
    trg = pad_sequence([torch.tensor(t) for _, t in pairs], batch_first=True, padding_value=PAD_IDX)
    return src, trg


def train_epoch(model, loader, criterion, optimizer):
    model.train()
    for src, trg in loader:
        optimizer.zero_grad()
        output = model(src, trg[:, :-1])
        loss = criterion(output.reshape(-1, TRG_VOCAB), trg[:, 1:].reshape(-1))
        loss.backward()
        optimizer.step()


def token_accuracy(model, loader):
    model.eval()
    correct = total = 0
    with torch.no_grad():
        for src, trg in loader:
            gold = trg[:, 1:]
            predicted = model(src, trg[:, :-1]).argmax(dim=-1)
            real = gold != PAD_IDX
            correct += ((predicted == gold) & real).sum().item()
            total += real.sum().item()
    return correct / total


if __name__ == "__main__":
    torch.manual_seed(0)
    loader = DataLoader(make_pairs(20), batch_size=8, collate_fn=collate)
    model = Seq2Seq(Encoder(SRC_VOCAB, 12, 16), Decoder(TRG_VOCAB, 12, 16))
    criterion = nn.CrossEntropyLoss(ignore_index=PAD_IDX)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(2):
        train_epoch(model, loader, criterion, optimizer)
    src, trg = collate(make_pairs(6))
    with torch.no_grad():
        output = model(src, trg[:, :-1])
        loss = criterion(output.reshape(-1, TRG_VOCAB), trg[:, 1:].reshape(-1))
    print(f"loss {loss.item():.6f} token accuracy {token_accuracy(model, loader):.6f}")
