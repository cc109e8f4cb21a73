import torch.nn.functional as F
from torch import nn

from .base import BaseModel


class ImageClassifier(BaseModel):
    def __init__(self, n_classes):
        super().__init__()
        self.conv = nn.Conv2d(3, 32, 3, stride=2)
        self.fc = nn.Linear(32, n_classes)

    def make_criterion(self):
        return nn.NLLLoss()

    def forward(self, x):
        x = F.relu(self.conv(x)).mean((2, 3))
        return F.log_softmax(self.fc(x), dim=1)
