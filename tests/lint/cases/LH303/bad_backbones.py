"""Heads of other libraries' networks, and labels of image folders."""

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, models, transforms

data = datasets.ImageFolder("cats_dogs", transforms.ToTensor())
loader = DataLoader(data, batch_size=16, shuffle=True)


def one_logit():
    net = models.resnet18(weights="DEFAULT")
    net.fc = nn.Linear(net.fc.in_features, 1)
    criterion = nn.CrossEntropyLoss()
    for images, labels in loader:
        criterion(net(images), labels).backward()  # expect: LH303


def two_logits():
    net = models.vgg16(num_classes=2)
    criterion = nn.BCEWithLogitsLoss()
    for images, labels in loader:
        loss = criterion(net(images), labels.float())  # expect: LH303
        loss.backward()


def two_logits_column():
    net = models.mobilenet_v3_small()
    net.classifier[3] = nn.Linear(1024, 2)
    criterion = nn.BCEWithLogitsLoss()
    for images, labels in loader:
        loss = criterion(net(images), labels.unsqueeze(1).to(torch.float32))  # expect: LH303
        loss.backward()
