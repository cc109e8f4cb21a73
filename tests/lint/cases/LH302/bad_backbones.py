"""A backbone with one output, against the labels of an image folder."""

from torch import nn
from torch.utils.data import DataLoader, random_split
from torchvision import datasets, models, transforms


def train():
    data = datasets.ImageFolder("cats_dogs", transform=transforms.ToTensor())
    train_set, _ = random_split(data, [0.8, 0.2])
    net = models.resnet50(weights=None)
    net.fc = nn.Linear(2048, 1)
    criterion = nn.BCEWithLogitsLoss()
    for images, labels in DataLoader(train_set, batch_size=16, shuffle=True):
        loss = criterion(net(images), labels.float())  # expect: LH302
        loss.backward()


def train_right():
    data = datasets.ImageFolder("cats_dogs", transform=transforms.ToTensor())
    net = models.resnet50(weights=None)
    net.fc = nn.Linear(2048, 1)
    criterion = nn.BCEWithLogitsLoss()
    for images, labels in DataLoader(data, batch_size=16, shuffle=True):
        loss = criterion(net(images).squeeze(1), labels.float())
        loss = loss + criterion(net(images), labels.float().unsqueeze(1))
        loss.backward()
