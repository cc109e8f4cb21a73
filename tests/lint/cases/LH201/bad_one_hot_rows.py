"""One-hot rows made in the data set, in the collate function, and on the way into the loss."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

CLASSES = 5


class Shapes(Dataset):
    def __init__(self, images, labels):
        self.images = images
        self.labels = labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        label = torch.tensor(self.labels[i], dtype=torch.long)
        return self.images[i], F.one_hot(label, CLASSES).float()


def collate(batch):
    images = torch.stack([image for image, _ in batch])
    labels = torch.tensor([label for _, label in batch], dtype=torch.long)
    return images, torch.nn.functional.one_hot(labels, num_classes=CLASSES).to(torch.float32)


def train(net, images, labels):
    criterion = nn.CrossEntropyLoss()
    for x, y in DataLoader(Shapes(images, labels), batch_size=16, shuffle=True):
        loss = criterion(net(x), y)  # expect: LH201
        loss.backward()


def train_collated(net, examples):
    for x, y in DataLoader(examples, batch_size=16, collate_fn=collate):
        F.cross_entropy(net(x), y).backward()  # expect: LH201


def by_hand(net, x, y):
    rows = torch.zeros(len(y), CLASSES).scatter_(1, y.view(-1, 1), 1)
    return F.cross_entropy(net(x), rows)  # expect: LH201


def like_the_logits(net, x, y):
    logits = net(x)
    rows = torch.zeros(x.size(0), CLASSES)
    rows.scatter_(dim=1, index=y.unsqueeze(-1), value=1.0)
    return F.cross_entropy(logits, rows)  # expect: LH201
