import sys
from pathlib import Path

import torch
from torch import nn, optim

from churn.data import COLUMNS, loaders
from churn.model import ChurnNet


def run(path: Path, epochs: int = 20) -> ChurnNet:
    train_loader, val_loader = loaders(path)
    model = ChurnNet(len(COLUMNS))
    loss_func = nn.BCEWithLogitsLoss()
    opt = optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)

    for epoch in range(epochs):
        model.train()
        for xb, yb in train_loader:
            pred = model(xb)
            loss = loss_func(pred, yb)  # expect: LH106
            opt.zero_grad()
            loss.backward()
            opt.step()

        model.eval()
        correct = count = 0
        with torch.no_grad():
            for xb, yb in val_loader:
                correct += ((model(xb) > 0.5).float() == yb).sum().item()
                count += len(yb)
        print(f"{epoch:3d} accuracy {correct / count:.3f}")
    return model


if __name__ == "__main__":
    torch.save(run(Path(sys.argv[1])).state_dict(), "churn.pt")
