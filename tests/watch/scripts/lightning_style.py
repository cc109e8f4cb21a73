"""A module with training_step and validation_step, a small trainer; validation batches of one size."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class LitClassifier(nn.Module):
    def __init__(self, hidden_dim=48, learning_rate=1e-2):
        super().__init__()
        self.learning_rate = learning_rate
        self.l1, self.l2 = nn.Linear(36, hidden_dim), nn.Linear(hidden_dim, 8)
        self.logged = {}

    def log(self, name, value):
        self.logged[name] = value.item()

    def forward(self, x):
        x = x.view(x.size(0), -1)
        return self.l2(torch.relu(self.l1(x)))

    def shared_step(self, batch):
        x, y = batch
        logits = self(x)
        return F.cross_entropy(logits, y), logits.argmax(dim=1).eq(y).float().mean()

    def training_step(self, batch, batch_idx):
        loss, acc = self.shared_step(batch)
        self.log("train_loss", loss)
        return {"loss": loss, "acc": acc.detach()}

    def validation_step(self, batch, batch_idx):
        loss, acc = self.shared_step(batch)
        return {"val_loss": loss, "val_acc": acc}

    def validation_epoch_end(self, outputs):
        self.log("val_loss", torch.stack([o["val_loss"] for o in outputs]).mean())
        self.log("val_acc", torch.stack([o["val_acc"] for o in outputs]).mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)


class Trainer:
    def __init__(self, max_epochs):
        self.max_epochs = max_epochs

    def fit(self, model, train_dataloader, val_dataloader):
        optimizer = model.configure_optimizers()
        for epoch in range(self.max_epochs):
            model.train()
            for batch_idx, batch in enumerate(train_dataloader):
                loss = model.training_step(batch, batch_idx)["loss"]
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                outputs = [model.validation_step(b, i) for i, b in enumerate(val_dataloader)]
            model.validation_epoch_end(outputs)
            print(f"epoch {epoch}: " + ", ".join(f"{k} {v:.4f}" for k, v in model.logged.items()))


def cli_main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch_size", type=int, default=32)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    templates = torch.randn(8, 1, 6, 6)
    y = torch.randint(8, (640,))
    x = templates[y] + 0.6 * torch.randn(640, 1, 6, 6)
    train = DataLoader(TensorDataset(x[:480], y[:480]), batch_size=args.batch_size, shuffle=True)
    val = DataLoader(TensorDataset(x[480:], y[480:]), batch_size=args.batch_size)
    Trainer(max_epochs=3).fit(LitClassifier(), train, val)


if __name__ == "__main__":
    cli_main()
