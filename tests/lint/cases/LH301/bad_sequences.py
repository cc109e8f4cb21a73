"""Classes last, where cross-entropy looks for them in dimension 1."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, TensorDataset

WORDS, TAGS = 500, 12


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(WORDS, 64)
        self.lstm = nn.LSTM(64, 64, batch_first=True, bidirectional=True)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(128, TAGS)

    def forward(self, words):
        hidden, _ = self.lstm(self.embed(words))
        return self.fc(self.drop(hidden))


def tag(steps):
    model, criterion = Tagger(), nn.CrossEntropyLoss()
    for _ in range(steps):
        words, tags = torch.randint(WORDS, (8, 12)), torch.randint(TAGS, (8, 12))
        criterion(model(words), tags).backward()  # expect: LH301


def tag_unknown_targets(batches):
    model = Tagger()
    for words, tags in batches:
        F.cross_entropy(model(words), tags).backward()  # expect: LH301


def log_probabilities(batches):
    model, criterion = Tagger(), nn.NLLLoss()
    for words, tags in batches:
        scores = F.log_softmax(model(words), dim=-1)
        criterion(scores, tags).backward()  # expect: LH301


def from_a_loader():
    words, tags = torch.randint(WORDS, (80, 12)), torch.randint(TAGS, (80, 12))
    model = Tagger()
    for x, y in DataLoader(TensorDataset(words, tags), batch_size=8):
        F.cross_entropy(model(x), y).backward()  # expect: LH301


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(WORDS, 32)
        self.positions = nn.Embedding(40, 32)
        layer = nn.TransformerEncoderLayer(32, 4, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.norm = nn.LayerNorm(32)
        self.head = nn.Linear(32, WORDS)

    def forward(self, ids, targets=None):
        x = self.embed(ids) + self.positions(torch.arange(ids.size(1)))
        logits = self.head(self.norm(self.encoder(x)))
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits, targets)  # expect: LH301


def read():
    ids = torch.randint(WORDS, (4, 41))
    _, loss = Reader()(ids[:, :-1], ids[:, 1:])
    return loss


def padded(sentences):
    tags = pad_sequence([torch.tensor(s, dtype=torch.long) for s in sentences], True, -100)
    words = torch.randint(WORDS, (4, 12))
    return F.cross_entropy(Tagger()(words), tags)  # expect: LH301
