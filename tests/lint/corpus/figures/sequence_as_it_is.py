# case: [B, T, V] logits passed to cross-entropy as they are, from an LSTM and from Transformers, batch first
import string

import torch
import torch.nn.functional as F
from torch import nn

ALPHABET = string.ascii_lowercase + " .,!?\n"
VOCAB = len(ALPHABET)
SEQ_LEN = 32  # as many as there are characters, so nothing raises


class CharLSTM(nn.Module):
    def __init__(self, vocab_size=VOCAB, dim=24, hidden=48):
        super().__init__()
        self.embed = nn.Embedding(vocab_size, dim)
        self.lstm = nn.LSTM(dim, hidden, num_layers=2, batch_first=True)
        self.fc = nn.Linear(hidden, vocab_size)

    def forward(self, x, state=None):
        out, state = self.lstm(self.embed(x), state)
        return self.fc(out), state


class Tagger(nn.Module):
    def __init__(self, vocab_size=VOCAB, n_tags=32, dim=32):
        super().__init__()
        self.embed = nn.Embedding(vocab_size, dim)
        layer = nn.TransformerEncoderLayer(dim, nhead=4, dim_feedforward=64, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2)
        self.out = nn.Linear(dim, n_tags)

    def forward(self, ids):
        return self.out(self.encoder(self.embed(ids)))


class Seq2Seq(nn.Module):
    def __init__(self, vocab_size=VOCAB, dim=32):
        super().__init__()
        self.src, self.tgt = nn.Embedding(vocab_size, dim), nn.Embedding(vocab_size, dim)
        self.transformer = nn.Transformer(dim, 4, 1, 1, 64, batch_first=True)
        self.generator = nn.Linear(dim, vocab_size)

    def forward(self, src, tgt):
        return self.generator(self.transformer(self.src(src), self.tgt(tgt)))


def train_chars(steps=20):
    model, criterion = CharLSTM(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(steps):
        ids = torch.randint(VOCAB, (8, SEQ_LEN + 1))
        logits, _ = model(ids[:, :-1])
        loss = criterion(logits, ids[:, 1:])  # expect: LH301
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def tag_loss(model: Tagger):
    ids = torch.randint(VOCAB, (8, SEQ_LEN))
    tags = torch.randint(32, (8, SEQ_LEN))
    scores = model(ids)
    return F.cross_entropy(scores, tags)  # expect: LH301


def translation_loss(model: Seq2Seq, src, tgt):
    logits = model(src, tgt[:, :-1])
    return F.cross_entropy(logits, tgt[:, 1:], label_smoothing=0.1)  # expect: LH301


if __name__ == "__main__":
    train_chars()
    print(tag_loss(Tagger()).item())
    target = torch.randint(VOCAB, (4, SEQ_LEN + 1))
    print(translation_loss(Seq2Seq(), torch.randint(VOCAB, (4, 11)), target).item())
