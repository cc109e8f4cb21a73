import torch
import torch.nn.functional as F
from torch import nn


def over_the_batch(x: torch.Tensor, y):
    scores = nn.Linear(6, 3)(torch.randn(8, 6))
    log_probs = F.log_softmax(scores, dim=0)  # expect: LH112
    return F.nll_loss(log_probs, y)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 3)
        self.softmax = nn.Softmax(dim=0)

    def forward(self, x):
        return self.softmax(self.fc(x))  # expect: LH112


def accuracy(x, y):
    return (Net()(x).argmax(dim=1) == y).float().mean()


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(16, 32, batch_first=True)
        self.tags = nn.Linear(32, 9)

    def forward(self, x):
        states, _ = self.lstm(x)
        return F.log_softmax(self.tags(states))  # expect: LH112


def tag(x, y):
    return nn.NLLLoss()(Tagger()(x).view(-1, 9), y.view(-1))


class Stepwise(Tagger):
    def forward(self, x):
        states, _ = self.lstm(x)
        return F.log_softmax(self.tags(states), dim=1)  # expect: LH112


def tag_stepwise(x, y):
    return F.nll_loss(Stepwise()(x).reshape(-1, 9), y.reshape(-1))


segmenter = nn.Sequential(
    nn.Conv2d(3, 8, 3),
    nn.ReLU(),
    nn.Conv2d(8, 5, 1),
    nn.LogSoftmax(dim=-1),  # expect: LH112
)


def segment(image, mask):
    return F.nll_loss(segmenter(image), mask)


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(8, 8, batch_first=True)
        self.score = nn.Linear(8, 1)

    def forward(self, x):
        states, _ = self.gru(x)
        weights = torch.softmax(self.score(torch.tanh(states)), dim=0)  # expect: LH112
        return (weights * states).sum(dim=1)


def both(x, y):
    p = F.softmax(nn.Linear(6, 3)(torch.randn(8, 6)), dim=0)  # expect: LH112
    return F.cross_entropy(p, y)  # expect: LH101


class Tags(nn.Module):
    def __init__(self, words, tags):
        super().__init__()
        self.embedding = nn.Embedding(words, 16)
        self.head = nn.Linear(16, tags)

    def forward(self, words):
        return self.head(self.embedding(words))


def tagged(words, tags):
    logits = Tags(100, 7)(words)
    log_probs = torch.log_softmax(logits.transpose(1, 2), dim=0)  # expect: LH112
    return F.nll_loss(log_probs, torch.zeros(4, 9, dtype=torch.long)), tags


def log_by_hand(y):
    scores = nn.Linear(8, 5)(torch.randn(4, 8))
    return F.nll_loss(torch.log(F.softmax(scores, 0)), y)  # expect: LH110, LH112
