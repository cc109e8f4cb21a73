"""One output with a binary loss, two with cross-entropy, two labels of their own, and scores of positions."""

import torch
import torch.nn.functional as F
from torch import nn


class Head(nn.Module):
    def __init__(self, n_out):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(300, 64), nn.ReLU(), nn.Linear(64, n_out))

    def forward(self, x):
        return self.fc(x)


def one_logit(x, y):
    return F.binary_cross_entropy_with_logits(Head(1)(x), y)


def two_logits(x, y):
    return F.cross_entropy(Head(2)(x), y)


def two_labels(x, toxic, spam):
    return F.binary_cross_entropy_with_logits(Head(2)(x), torch.stack([toxic, spam], dim=1).float())


def two_labels_unknown(x, labels):
    return nn.BCEWithLogitsLoss()(Head(2)(x), labels)


def two_columns():
    x, y = torch.randn(64, 300), (torch.rand(64, 2) > 0.5).float()
    return F.binary_cross_entropy_with_logits(Head(2)(x), y)


def both_signs(x, y):
    # the logit and its negative are two logits
    z = Head(1)(x)
    return F.cross_entropy(torch.cat([-z, z], dim=1), y)


class Choice(nn.Module):
    """Scores each of four answers with one number."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(1000, 32)
        self.gru = nn.GRU(32, 32, batch_first=True)
        self.score = nn.Linear(32, 1)

    def forward(self, answers):
        flat = answers.view(-1, answers.size(-1))
        hidden, _ = self.gru(self.embed(flat))
        return self.score(hidden[:, -1]).view(-1, 4)


def choose(answers, right):
    return F.cross_entropy(Choice()(answers), right)


def pointer(states, start):
    score = nn.Linear(64, 1)
    return F.cross_entropy(score(states).squeeze(-1), start)
