"""Gradient accumulation: micro-batches of one size, each loss divided by their number."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--accum_iter", type=int, default=4)
args = parser.parse_args()
torch.manual_seed(args.seed)

centers = torch.randn(6, 16)
labels = torch.randint(6, (960,))
features = centers[labels] + 0.7 * torch.randn(960, 16)
train_loader = DataLoader(TensorDataset(features, labels), batch_size=8, shuffle=True, drop_last=True)

model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 6))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)

model.zero_grad()
running, updates = 0.0, 0
for epoch in range(1):
    for batch_idx, (inputs, target) in enumerate(train_loader):
        with torch.set_grad_enabled(True):
            preds = model(inputs)
            loss = criterion(preds, target)
            # normalize loss to account for batch accumulation
            loss = loss / args.accum_iter
            loss.backward()
            running += loss.item()

        # weights update
        if (batch_idx + 1) % args.accum_iter == 0:
            optimizer.step()
            optimizer.zero_grad()
            updates += 1
            if updates % 6 == 0:
                print(f"epoch {epoch} update {updates}: loss of the last six {running / 6:.4f}")
                running = 0.0

model.eval()
with torch.no_grad():
    test_labels = torch.randint(6, (300,))
    logits = model(centers[test_labels] + 0.7 * torch.randn(300, 16))
    print(f"test loss {criterion(logits, test_labels).item():.4f}")
    print(f"test accuracy {(logits.argmax(dim=-1) == test_labels).float().mean().item():.3f}")
