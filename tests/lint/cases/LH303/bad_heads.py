"""Heads of one output with cross-entropy, and of two with a binary loss."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


class Sentiment(nn.Module):
    def __init__(self, d_in=300, n_out=1):
        super().__init__()
        self.fc1 = nn.Linear(d_in, 64)
        self.fc2 = nn.Linear(64, n_out)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


def one_logit(batches):
    model, criterion = Sentiment(), nn.CrossEntropyLoss()
    for x, y in batches:
        criterion(model(x), y).backward()  # expect: LH303


def one_log_probability(batches):
    model = nn.Sequential(nn.Flatten(), nn.Linear(300, 1), nn.LogSoftmax(dim=1))
    for x, y in batches:
        F.nll_loss(model(x), y).backward()  # expect: LH303


def one_channel(images, masks):
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1))
    return F.cross_entropy(net(images), masks)  # expect: LH303


def two_logits(x):
    y = torch.randint(0, 2, (64,))
    target = torch.eye(2)[y]
    return F.binary_cross_entropy_with_logits(Sentiment(n_out=2)(x), target)  # expect: LH303


def two_logits_column():
    x, y = torch.randn(64, 300), torch.randint(0, 2, (64,)).float()
    model = Sentiment(n_out=2)
    return nn.BCEWithLogitsLoss()(model(x), y.unsqueeze(1))  # expect: LH303


def two_logits_vector():
    data = datasets.ImageFolder("ants_bees", transform=transforms.ToTensor())
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 2), nn.Sigmoid())
    criterion = nn.BCELoss()
    for images, labels in DataLoader(data, batch_size=8):
        criterion(model(images), labels.float()).backward()  # expect: LH303  # allow: LH109
