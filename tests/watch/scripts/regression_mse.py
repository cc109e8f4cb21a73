"""House prices: one output [B, 1] against targets [B, 1], MSE; the classifier's habits around it."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


class Regressor(nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1)
        )

    def forward(self, x):
        return self.layers(x)


def houses(count):
    rooms = torch.randint(1, 8, (count, 1)).float()
    area = 20 * rooms + 15 * torch.rand(count, 1)
    distance = 20 * torch.rand(count, 1)
    price = 0.5 + 0.03 * area + 0.1 * rooms - 0.08 * distance + 0.1 * torch.randn(count, 1)
    return torch.cat([rooms, area, distance], dim=1), price


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n_epochs", type=int, default=5)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    x, y = houses(500)
    x = (x - x.mean(0)) / x.std(0)
    y = (y - y.mean()) / y.std()
    train_set, val_set = random_split(TensorDataset(x, y), [400, 100])
    train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
    val_loader = DataLoader(val_set, batch_size=32)
    model = Regressor(x.size(1))
    loss_fn = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for epoch in range(args.n_epochs):
        model.train()
        for X_batch, y_batch in train_loader:
            y_pred = model(X_batch)
            loss = loss_fn(y_pred, y_batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        squared, absolute, expensive = 0.0, 0.0, 0
        with torch.no_grad():
            for X_batch, y_batch in val_loader:
                y_pred = model(X_batch)
                squared += loss_fn(y_pred, y_batch).item() * len(y_batch)
                absolute += (y_pred - y_batch).abs().sum().item()
                expensive += (y_pred > 0.5).sum().item()  # half a standard deviation above the mean
        print(f"epoch {epoch}: MSE {squared / 100:.4f}, MAE {absolute / 100:.4f}, {expensive} expensive")


if __name__ == "__main__":
    main()
