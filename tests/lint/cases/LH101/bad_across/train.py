import network
import torch
from torch.nn import CrossEntropyLoss


class Trainer:
    def __init__(self, model):
        self.model = model
        self.criterion = CrossEntropyLoss()

    def training_step(self, batch):
        x, y = batch
        return self.criterion(self.model(x), y)  # expect: LH101

    @torch.no_grad()
    def accuracy(self, x, y):
        return (self.model(x).argmax(dim=1) == y).float().mean()


trainer = Trainer(network.Classifier())


def step(x, target):
    trainer.accuracy(x, target)
    return trainer.training_step((x, target))
