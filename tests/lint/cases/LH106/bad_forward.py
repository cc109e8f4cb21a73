import torch
import torch.nn as nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.criterion = nn.BCEWithLogitsLoss()

    def forward(self, x):
        x = self.fc(x)
        x = torch.sigmoid(x)
        return x

    def training_step(self, batch):
        x, y = batch
        return self.criterion(self(x), y)  # expect: LH106


tagger = Tagger()


def step(x, target):
    return tagger.training_step((x, target))
