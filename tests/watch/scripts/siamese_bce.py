"""Siamese network: do two images show the same class? A sigmoid at the end, and BCELoss."""
# true: LH109

import argparse
import random

import torch
import torch.nn as nn
import torch.optim as optim
from torch.utils.data import DataLoader, Dataset


class SiameseNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 16, 16)
        )
        self.fc = nn.Sequential(nn.Linear(16 * 2, 64), nn.ReLU(inplace=True), nn.Linear(64, 1))
        self.sigmoid = nn.Sigmoid()
        self.fc.apply(self.init_weights)

    def init_weights(self, m):
        if isinstance(m, nn.Linear):
            torch.nn.init.xavier_uniform_(m.weight)
            m.bias.data.fill_(0.01)

    def forward(self, input1, input2):
        output1 = self.features(input1)
        output2 = self.features(input2)
        output = torch.cat(((output1 - output2).abs(), output1 * output2), 1)
        return self.sigmoid(self.fc(output))


class Pairs(Dataset):
    """Half of the pairs are of one class, half of two."""

    def __init__(self, count, prototypes, rng):
        self.items = []
        for i in range(count):
            first = rng.randrange(len(prototypes))
            second = first
            while i % 2 and second == first:
                second = rng.randrange(len(prototypes))
            pair = [prototypes[c] + 0.3 * torch.randn(1, 8, 8) for c in (first, second)]
            self.items.append((*pair, torch.tensor(float(first == second))))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def train(model, train_loader, optimizer, epoch):
    model.train()
    criterion = nn.BCELoss()
    for batch_idx, (images_1, images_2, targets) in enumerate(train_loader):
        optimizer.zero_grad()
        outputs = model(images_1, images_2).squeeze(1)
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
        if batch_idx % 8 == 0:
            print(f"Train Epoch: {epoch} [{batch_idx}/{len(train_loader)}]\tLoss: {loss.item():.6f}")


def test(model, test_loader):
    model.eval()
    test_loss, correct = 0.0, 0
    criterion = nn.BCELoss(reduction="sum")
    with torch.no_grad():
        for images_1, images_2, targets in test_loader:
            outputs = model(images_1, images_2).squeeze(1)
            test_loss += criterion(outputs, targets).item()
            pred = torch.where(outputs > 0.5, 1, 0)
            correct += pred.eq(targets.view_as(pred)).sum().item()
    count = len(test_loader.dataset)
    print(f"Test set: Average loss: {test_loss / count:.4f}, Accuracy: {correct}/{count}")


def main():
    parser = argparse.ArgumentParser(description="Siamese network")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    prototypes = torch.randn(4, 1, 8, 8)
    train_loader = DataLoader(Pairs(512, prototypes, rng), shuffle=True, batch_size=32)
    test_loader = DataLoader(Pairs(150, prototypes, rng), batch_size=64)
    model = SiameseNetwork()
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    for epoch in range(1, args.epochs + 1):
        train(model, train_loader, optimizer, epoch)
        test(model, test_loader)


if __name__ == "__main__":
    main()
