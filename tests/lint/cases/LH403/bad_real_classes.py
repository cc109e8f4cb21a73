"""ignore_index names a class that the targets hold."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


class Segmenter(nn.Module):
    def __init__(self, n_classes=2):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, n_classes, 1))
        self.loss_fn = nn.CrossEntropyLoss(ignore_index=0)  # expect: LH403

    def forward(self, images, masks):
        return self.loss_fn(self.net(images), masks)


def digits():
    data = datasets.MNIST("data", transform=transforms.ToTensor())
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    criterion = nn.CrossEntropyLoss(ignore_index=0)  # expect: LH403
    for images, labels in DataLoader(data, batch_size=64):
        criterion(net(images), labels).backward()


def drawn():
    x, y = torch.randn(32, 8), torch.randint(0, 5, (32,))
    return F.cross_entropy(nn.Linear(8, 5)(x), y, ignore_index=4)  # expect: LH403


def segmentation_loss(images, masks):
    return Segmenter()(images, masks)
