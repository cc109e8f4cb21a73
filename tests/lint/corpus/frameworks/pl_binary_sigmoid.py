# case: Lightning churn model: an nn.Sigmoid closes the Sequential, the criterion is BCEWithLogitsLoss
from argparse import ArgumentParser

import pytorch_lightning as pl
import torch
from torch import nn
from torchmetrics.classification import BinaryAUROC, BinaryF1Score


class ChurnNet(pl.LightningModule):
    def __init__(self, n_features, hidden=(64, 32), lr=3e-4, pos_weight=4.0):
        super().__init__()
        layers = []
        width = n_features
        for h in hidden:
            layers += [nn.Linear(width, h), nn.BatchNorm1d(h), nn.ReLU()]
            width = h
        layers.append(nn.Linear(width, 1))
        layers.append(nn.Sigmoid())
        self.net = nn.Sequential(*layers)
        self.lr = lr
        self.criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([pos_weight]))
        self.f1 = BinaryF1Score()
        self.auroc = BinaryAUROC()

    def forward(self, x):
        return self.net(x).squeeze(1)

    def _step(self, batch):
        x, y = batch
        churn = self(x)
        loss = self.criterion(churn, y.float())  # expect: LH106
        return loss, churn, y

    def training_step(self, batch, batch_idx):
        loss, _, _ = self._step(batch)
        self.log("loss/train", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        loss, churn, y = self._step(batch)
        self.f1.update(churn, y)
        self.auroc.update(churn, y)
        self.log("loss/val", loss, prog_bar=True)

    def on_validation_epoch_end(self):
        self.log_dict({"f1": self.f1.compute(), "auroc": self.auroc.compute()})
        self.f1.reset()
        self.auroc.reset()

    def predict_step(self, batch, batch_idx):
        return self(batch[0]) > 0.5

    def configure_optimizers(self):
        opt = torch.optim.AdamW(self.parameters(), lr=self.lr)
        sched = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, patience=3)
        return {"optimizer": opt, "lr_scheduler": sched, "monitor": "loss/val"}


if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("--n-features", type=int, default=31)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    print(ChurnNet(args.n_features, lr=args.lr))
