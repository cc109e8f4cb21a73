"""Weighted cross-entropy for unequal classes; validation is not weighted; batches of five, five classes."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F

CLASS_SIZES = [200, 120, 80, 60, 40]


def build(centers):
    labels = torch.cat([torch.full((n,), c) for c, n in enumerate(CLASS_SIZES)])
    return centers[labels] + 0.6 * torch.randn(len(labels), centers.size(1)), labels


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    num_classes = len(CLASS_SIZES)
    centers = torch.randn(num_classes, 14)
    x, y = build(centers)
    x_val, y_val = build(centers)

    counts = torch.bincount(y, minlength=num_classes)
    class_weights = len(y) / (num_classes * counts.float())
    print("weights:", [round(w, 2) for w in class_weights.tolist()])
    criterion = nn.CrossEntropyLoss(weight=class_weights)
    model = nn.Sequential(nn.Linear(14, 32), nn.LeakyReLU(), nn.Linear(32, num_classes))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    for epoch in range(2):
        weighted_sum, weight_sum = 0.0, 0.0
        for rows in torch.randperm(len(y)).split(num_classes)[:40]:  # as many rows as classes
            logits = model(x[rows])
            loss = criterion(logits, y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            weight = class_weights[y[rows]].sum().item()
            weighted_sum += loss.item() * weight
            weight_sum += weight
        with torch.no_grad():
            logits = model(x_val)
            val_loss = F.cross_entropy(logits, y_val)
            recall = [(logits[y_val == c].argmax(1) == c).float().mean() for c in range(num_classes)]
        print(f"epoch {epoch}: train {weighted_sum / weight_sum:.4f}, val {val_loss.item():.4f}, ", end="")
        print(f"balanced accuracy {torch.stack(recall).mean().item():.3f}")


if __name__ == "__main__":
    main()
