import torch
from torch import nn

from .base import BaseModel


class AudioClassifier(BaseModel):
    """Keyword spotting on mel spectrograms [batch, 1, mels, frames]."""

    def __init__(self, n_keywords=12, channels=48):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, channels, 5, stride=2, padding=2),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, stride=2, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.fc = nn.Linear(channels, n_keywords)
        self.criterion = nn.CrossEntropyLoss()

    def forward(self, x):
        z = self.encoder(x)
        return torch.sigmoid(self.fc(z))
