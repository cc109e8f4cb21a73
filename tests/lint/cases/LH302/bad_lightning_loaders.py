"""Lightning's Trainer hands the steps the batches of its loaders, or of those of a data module."""

import torch
import torch.nn.functional as F
from lightning import LightningDataModule, LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Churn(LightningModule):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 1)

    def forward(self, x):
        return self.head(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.binary_cross_entropy_with_logits(self(x).squeeze(1), y)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        loss = F.binary_cross_entropy_with_logits(self(x), y)  # expect: LH302
        self.log("val_loss", loss)


class Visits(LightningDataModule):
    def setup(self, stage):
        self.train_set = TensorDataset(torch.randn(40, 6), torch.rand(40).round())

    def train_dataloader(self):
        return DataLoader(self.train_set, batch_size=8)


class Rates(LightningModule):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 1)
        self.loss = nn.MSELoss()

    def training_step(self, batch, batch_idx):
        x, y = batch
        return self.loss(self.head(x), y)  # expect: LH302


def main():
    churn = Churn()
    labels = torch.rand(40).round()
    loader = DataLoader(TensorDataset(torch.randn(40, 6), labels), batch_size=8)
    trainer = Trainer(max_epochs=1)
    trainer.fit(churn, train_dataloaders=loader, val_dataloaders=loader)
    Trainer(max_epochs=2).fit(Rates(), datamodule=Visits())
