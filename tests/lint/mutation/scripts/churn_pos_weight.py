"""Customers who leave are rare: pos_weight balances them, and the target is a column."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Customers(Dataset):
    def __init__(self, n):
        generator = torch.Generator().manual_seed(n)
        self.features = torch.randn(n, 9, generator=generator)
        self.left = (self.features.sum(dim=1) > 2.0).long()

    def __len__(self):
        return len(self.left)

    def __getitem__(self, index):
        return self.features[index], self.left[index]


class ChurnNet(nn.Module):
    def __init__(self, dropout=0.2):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(9, 24), nn.GELU(), nn.Dropout(dropout))
        self.head = nn.Linear(24, 1)

    def forward(self, x):
        return self.head(self.body(x))


def fit(net, loader, criterion, epochs):
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    for _ in range(epochs):
        net.train()
        for features, left in loader:
            logits = net(features)
            loss = criterion(logits, left.float().unsqueeze(1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


@torch.no_grad()
def recall(net, loader):
    net.eval()
    hits = positives = 0
    for features, left in loader:
        logits = net(features)
        flagged = torch.sigmoid(logits) > 0.5
        hits += (flagged.squeeze(1) & (left == 1)).sum().item()
        positives += left.sum().item()
    return hits / positives


def main():
    torch.manual_seed(0)
    loader = DataLoader(Customers(64), batch_size=20, shuffle=True)
    criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([5.0]))
    net = ChurnNet()
    fit(net, loader, criterion, epochs=4)
    with torch.no_grad():
        everyone = Customers(50)
        logits = net(everyone.features)
        loss = criterion(logits, everyone.left.float().unsqueeze(1))
    print(f"loss {loss.item():.6f}, recall {recall(net, loader):.4f}")


if __name__ == "__main__":
    main()
