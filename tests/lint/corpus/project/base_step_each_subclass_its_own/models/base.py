from torch import nn


class BaseModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.criterion = self.make_criterion()

    def make_criterion(self):
        raise NotImplementedError

    def training_step(self, batch):
        x, y = batch
        return self.criterion(self(x), y)
