from abc import ABC, abstractmethod

import torch
from torch import nn


class BaseModel(nn.Module, ABC):
    criterion: nn.Module

    @abstractmethod
    def forward(self, x):
        raise NotImplementedError

    def training_step(self, batch):
        x, y = batch
        return self.criterion(self(x), y)  # expect: LH102

    @torch.no_grad()
    def predict(self, x):
        self.eval()
        return self(x).argmax(dim=1)

    def num_parameters(self):
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
