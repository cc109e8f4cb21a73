"""Fraud detection as a Lightning module around a network, with one logit per payment."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, Dataset


class Payments(Dataset):
    def __init__(self, rows=48):
        generator = torch.Generator().manual_seed(3)
        self.x = torch.randn(rows, 6, generator=generator)
        self.y = (self.x[:, 0] * self.x[:, 1] > 0.2).float()

    def __getitem__(self, row):
        return self.x[row], self.y[row]

    def __len__(self):
        return self.x.shape[0]


class FraudNet(nn.Module):
    def __init__(self, inputs=6):
        super().__init__()
        self.fc1 = nn.Linear(inputs, 32)
        self.fc2 = nn.Linear(32, 1)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


class FraudModule(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = FraudNet()
        self.flagged, self.seen = 0, 0

    def forward(self, x):
        return self.net(x).squeeze(-1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)
        return binary_cross_entropy_with_logits(logits, y.view(-1, 1))

    def test_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)
        loss = binary_cross_entropy_with_logits(logits, y.view(-1, 1))
        flags = logits > 0.0
        self.flagged += int((flags.view(-1) == y.bool()).sum())
        self.seen += len(y)
        self.log("test_loss", loss, batch_size=len(y))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


if __name__ == "__main__":
    pl.seed_everything(1, verbose=False)
    module = FraudModule()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(max_epochs=3, accelerator="cpu", enable_model_summary=False, **quiet)
    trainer.fit(module, DataLoader(Payments(), batch_size=10, shuffle=True))
    result = trainer.test(module, DataLoader(Payments(), batch_size=20), verbose=False)[0]
    print(f"loss {result['test_loss']:.6f} accuracy {module.flagged / module.seen:.6f}")
