"""A Lightning module for flowers; Lightning weighs the logged epoch means by batch_size."""

import pytorch_lightning as pl
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class FlowerClassifier(pl.LightningModule):
    def __init__(self, num_classes=5, lr=1e-2):
        super().__init__()
        self.save_hyperparameters()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        )
        self.classifier = nn.Linear(32, num_classes)
        self.criterion = nn.CrossEntropyLoss()

    def forward(self, x):
        return self.classifier(self.features(x))

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self(x)
        loss = self.criterion(logits, y)
        self.log("train_loss", loss, batch_size=len(y))
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self(x)
        loss = self.criterion(logits, y)
        preds = torch.argmax(logits, dim=1)
        acc = (preds == y).float().mean()
        self.log("val_loss", loss, batch_size=len(y))
        self.log("val_acc", acc, batch_size=len(y))

    def predict_step(self, batch, batch_idx):
        x, _ = batch
        logits = self(x)
        return F.softmax(logits, dim=1)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


def main():
    pl.seed_everything(0, verbose=False)
    dataset = TensorDataset(torch.randn(40, 3, 12, 12), torch.randint(5, (40,)))
    loader = DataLoader(dataset, batch_size=16)
    model = FlowerClassifier()
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, loader, loader)
    metrics = trainer.validate(model, loader, verbose=False)[0]
    confidence = torch.cat(trainer.predict(model, loader)).amax(dim=1).mean()
    print(f"loss {metrics['val_loss']:.6f} accuracy {metrics['val_acc']:.4f} {confidence:.6f}")


if __name__ == "__main__":
    main()
