# case: a pytorch_lightning classifier whose forward ends in a softmax, trained with F.cross_entropy
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import FashionMNIST


class LitFashion(pl.LightningModule):
    def __init__(self, hidden_dim: int = 128, lr: float = 1e-3):
        super().__init__()
        self.save_hyperparameters()
        self.fc1 = nn.Linear(28 * 28, hidden_dim)
        self.drop = nn.Dropout(0.2)
        self.fc2 = nn.Linear(hidden_dim, 10)

    def forward(self, x):
        x = x.view(x.size(0), -1)
        x = self.drop(F.relu(self.fc1(x)))
        x = self.fc2(x)
        return F.softmax(x, dim=1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)  # expect: LH101
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        y_hat = self.forward(x)
        val_loss = F.cross_entropy(y_hat, y)  # expect: LH101
        acc = (y_hat.argmax(dim=1) == y).float().mean()
        self.log_dict({"val_loss": val_loss, "val_acc": acc}, prog_bar=True)

    def predict_step(self, batch, batch_idx, dataloader_idx=0):
        x, _ = batch
        return self(x)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


def main():
    pl.seed_everything(42)
    tf = transforms.ToTensor()
    train = DataLoader(
        FashionMNIST("data", train=True, download=True, transform=tf), batch_size=64, shuffle=True
    )
    val = DataLoader(FashionMNIST("data", train=False, download=True, transform=tf), batch_size=256)
    trainer = pl.Trainer(max_epochs=5, accelerator="auto")
    trainer.fit(LitFashion(), train, val)


if __name__ == "__main__":
    main()
