"""A test that was made before tells which of two losses, or of two networks, it is."""

import torch
from torch import nn
from torchvision import models


def by_test(model, loader, soft):
    criterion = nn.MSELoss() if soft else nn.CrossEntropyLoss()
    for x, y in loader:
        probs = torch.softmax(model(x), dim=1)
        if not soft:
            loss = criterion(probs, y)  # expect: LH101
        else:
            loss = criterion(probs, nn.functional.one_hot(y))
        loss.backward()


def one_of_two(name, loader):
    net = (
        models.vgg13() if name == "vgg13" else models.vgg19() if name == "vgg19" else print("no such network")
    )
    net.classifier = nn.Sequential(nn.Linear(25088, 10), nn.Softmax(dim=1))
    criterion = nn.CrossEntropyLoss()
    for x, y in loader:
        criterion(net(x), y).backward()  # expect: LH101
