# case: LightningModule; forward returns probabilities, a shared step uses F.cross_entropy
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, random_split
from torchvision import transforms
from torchvision.datasets import CIFAR10


class LitClassifier(pl.LightningModule):
    def __init__(self, hidden_dim: int = 128, learning_rate: float = 1e-3):
        super().__init__()
        self.save_hyperparameters()
        self.backbone = nn.Sequential(
            nn.Flatten(),
            nn.Linear(3 * 32 * 32, self.hparams.hidden_dim),
            nn.ReLU(),
            nn.Linear(self.hparams.hidden_dim, 10),
        )

    def forward(self, x):
        return self.backbone(x).softmax(dim=-1)

    def _shared_step(self, batch, stage):
        x, y = batch
        y_hat = self(x)
        loss = F.cross_entropy(y_hat, y)  # expect: LH101
        self.log(f"{stage}_loss", loss)
        self.log(f"{stage}_acc", (y_hat.argmax(-1) == y).float().mean())
        return loss

    def training_step(self, batch, batch_idx):
        return self._shared_step(batch, "train")

    def validation_step(self, batch, batch_idx):
        self._shared_step(batch, "val")

    def predict_step(self, batch, batch_idx):
        x, _ = batch
        return self(x)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.learning_rate)


def cli_main():
    pl.seed_everything(1234)
    dataset = CIFAR10("", train=True, download=True, transform=transforms.ToTensor())
    train_set, val_set = random_split(dataset, [45000, 5000])
    trainer = pl.Trainer(max_epochs=5)
    trainer.fit(LitClassifier(), DataLoader(train_set, batch_size=64), DataLoader(val_set, batch_size=64))


if __name__ == "__main__":
    cli_main()
