"""What a hook of the module makes of a batch is not known, nor what a loader of its own collates."""

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def columns(rows):
    x, y = zip(*rows, strict=True)
    return torch.stack(x), torch.stack(y).view(-1, 1)


class Columns(LightningModule):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.binary_cross_entropy_with_logits(self.head(x), y)


class Transferred(Columns):
    def on_after_batch_transfer(self, batch, dataloader_idx):
        x, y = batch
        return x, y[:, None]


def main():
    data = TensorDataset(torch.randn(40, 6), torch.rand(40).round())
    trainer = Trainer(max_epochs=1)
    trainer.fit(Columns(), DataLoader(data, batch_size=8, collate_fn=columns))
    trainer.fit(Transferred(), DataLoader(data, batch_size=8))
