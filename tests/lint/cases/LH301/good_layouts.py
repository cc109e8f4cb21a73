"""Classes in dimension 1, or one dimension only, or sequences without a batch."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

WORDS, TAGS = 500, 12


class Tagger(nn.Module):
    def __init__(self, batch_first=True):
        super().__init__()
        self.embed = nn.Embedding(WORDS, 64)
        self.lstm = nn.LSTM(64, 64, batch_first=batch_first)
        self.fc = nn.Linear(64, TAGS)

    def forward(self, words):
        return self.fc(self.lstm(self.embed(words))[0])


def moved(words, tags):
    model = Tagger()
    a = F.cross_entropy(model(words).movedim(-1, 1), tags)
    b = F.cross_entropy(model(words).mT, tags)
    c = F.cross_entropy(torch.swapaxes(model(words), 1, 2), tags)
    d = F.cross_entropy(model(words).view(-1, TAGS), tags.view(-1))
    e = F.cross_entropy(model(words).reshape(words.numel(), -1), tags.reshape(-1))
    return a + b + c + d + e


class OneSentence(nn.Module):
    """No batch: [T] words in, [T, tags] out."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(WORDS, 64)
        self.lstm = nn.LSTM(64, 64)
        self.fc = nn.Linear(64, TAGS)

    def forward(self, sentence):
        hidden, _ = self.lstm(self.embed(sentence).view(len(sentence), 1, -1))
        return F.log_softmax(self.fc(hidden.view(len(sentence), -1)), dim=1)


class OneSentenceUnbatched(OneSentence):
    def forward(self, sentence):
        hidden, _ = self.lstm(self.embed(sentence))
        return self.fc(hidden)


def sentence_by_sentence(pairs):
    model, other, criterion = OneSentence(), OneSentenceUnbatched(), nn.NLLLoss()
    for words, tags in pairs:
        criterion(model(words), tags).backward()
        F.cross_entropy(other(words), tags).backward()


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(WORDS, 64)
        self.lstm = nn.LSTM(64, 64, batch_first=True)
        self.fc = nn.Linear(64, TAGS)

    def forward(self, words, lengths):
        packed = pack_padded_sequence(self.embed(words), lengths, batch_first=True, enforce_sorted=False)
        outputs, (hidden, _) = self.lstm(packed)
        return self.fc(hidden[-1]), self.fc(outputs.data)


def classify(words, lengths, label, tags):
    whole, each = Classifier()(words, lengths)
    return F.cross_entropy(whole, label) + F.cross_entropy(each, tags.data)


def last_step(words):
    label = torch.randint(TAGS, (8,))
    return F.cross_entropy(Tagger()(words)[:, -1, :], label) + F.cross_entropy(Tagger()(words)[:, -1], label)


def pooled(words):
    embed, fc = nn.Embedding(WORDS, 64), nn.Linear(64, TAGS)
    return F.cross_entropy(fc(embed(words).mean(dim=1)), torch.randint(TAGS, (8,)))


def pixels(images, masks):
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, TAGS, 1))
    return F.cross_entropy(net(images), masks)
