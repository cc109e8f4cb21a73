"""Moving average of the weights, early stopping with patience, the best state restored, a file on disk."""

import argparse
import copy
import tempfile
from pathlib import Path

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


class EarlyStopping:
    def __init__(self, patience, path):
        self.patience, self.path = patience, path
        self.best, self.bad_epochs = float("inf"), 0

    def __call__(self, val_loss, model):
        if val_loss < self.best:
            self.best, self.bad_epochs = val_loss, 0
            torch.save(model.state_dict(), self.path)
        else:
            self.bad_epochs += 1
        return self.bad_epochs > self.patience


class EMA:
    def __init__(self, model, decay):
        self.decay, self.shadow = decay, copy.deepcopy(model).eval()
        for p in self.shadow.parameters():
            p.requires_grad_(False)

    @torch.no_grad()
    def update(self, model):
        for s, p in zip(self.shadow.parameters(), model.parameters()):
            s.lerp_(p, 1 - self.decay)


def evaluate(model, loader, criterion):
    was_training = model.training
    model.eval()
    loss_sum, hits, n = 0.0, 0, 0
    with torch.no_grad():
        for x, y in loader:
            out = model(x)
            loss_sum += criterion(out, y).item() * y.size(0)
            hits += (out.argmax(1) == y).sum().item()
            n += y.size(0)
    model.train(was_training)
    return loss_sum / n, hits / n


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patience", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    centers = torch.randn(7, 20)
    y = torch.randint(7, (500,))
    x = centers[y] + torch.randn(500, 20)
    train_loader = DataLoader(TensorDataset(x[:320], y[:320]), batch_size=32, shuffle=True)
    val_loader = DataLoader(TensorDataset(x[320:], y[320:]), batch_size=64)
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 7))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    ema = EMA(model, decay=0.8)
    with tempfile.TemporaryDirectory() as folder:
        best = Path(folder) / "best.pt"
        stopping = EarlyStopping(args.patience, best)
        for epoch in range(8):
            for xb, yb in train_loader:
                loss = criterion(model(xb), yb)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                ema.update(model)
            val_loss, val_acc = evaluate(ema.shadow, val_loader, criterion)
            print(f"epoch {epoch}: val loss {val_loss:.4f}, acc {val_acc:.3f}")
            if stopping(val_loss, ema.shadow):
                print("early stopping")
                break
        model.load_state_dict(torch.load(best, weights_only=True))
    print(f"best: {evaluate(model, val_loader, criterion)[0]:.4f}, as noted {stopping.best:.4f}")


if __name__ == "__main__":
    main()
