"""Multi-label: one pos_weight per label; prediction by sigmoid and by the sign of the logits, F1 by hand."""

import argparse

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


class MultiLabelClassifier(nn.Module):
    def __init__(self, n_features, n_labels, prevalence):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(n_features, 64), nn.ReLU(), nn.Dropout(0.1))
        self.classifier = nn.Linear(64, n_labels)
        with torch.no_grad():
            self.classifier.bias.copy_(torch.logit(prevalence))

    def forward(self, x):
        return self.classifier(self.hidden(x))


def f1(predicted, labels):
    tp = (predicted & labels).sum(0).float()
    return (2 * tp / (predicted.sum(0) + labels.sum(0)).clamp(min=1)).mean()


parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--epochs", type=int, default=4)
args = parser.parse_args()
torch.manual_seed(args.seed)

n_labels = 6
directions = torch.randn(10, n_labels)
x = torch.randn(640, 10)
scores = x @ directions + 0.3 * torch.randn(640, n_labels)
rarity = torch.linspace(0.5, 0.8, n_labels)
y = (scores > torch.stack([scores[:, i].quantile(q) for i, q in enumerate(rarity)])).float()

train_ds, val_ds = TensorDataset(x[:512], y[:512]), TensorDataset(x[512:], y[512:])
train_dl, val_dl = DataLoader(train_ds, batch_size=32, shuffle=True), DataLoader(val_ds, batch_size=48)
positives = y[:512].sum(dim=0)
pos_weight = ((512 - positives) / positives).clamp(max=3)
model = MultiLabelClassifier(10, n_labels, positives / 512)
criterion = nn.BCEWithLogitsLoss(pos_weight=pos_weight)
plain = nn.BCEWithLogitsLoss(reduction="sum")
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)

for epoch in range(args.epochs):
    model.train()
    for xb, yb in train_dl:
        loss = criterion(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    model.eval()
    total, all_logits = 0.0, []
    with torch.no_grad():
        for xb, yb in val_dl:
            logits = model(xb)
            total += plain(logits, yb).item()
            all_logits.append(logits)
    logits = torch.cat(all_logits)
    by_probability = torch.sigmoid(logits) > 0.5
    by_sign = logits > 0
    agree = (by_probability == by_sign).float().mean().item()
    nats = total / (len(val_ds) * n_labels)
    print(
        f"epoch {epoch}: {nats:.4f} nats per label, F1 {f1(by_sign, y[512:].bool()):.3f}, agree {agree:.2f}"
    )
