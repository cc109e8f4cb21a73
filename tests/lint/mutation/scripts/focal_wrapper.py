"""A focal loss for a rare class: a module of its own around cross_entropy."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class FocalLoss(nn.Module):
    """The cross-entropy of each example, times how wrong its prediction was."""

    def __init__(self, gamma=2.0, reduction="mean"):
        super().__init__()
        self.gamma = gamma
        self.reduction = reduction

    def forward(self, inputs, targets):
        ce_loss = F.cross_entropy(inputs, targets, reduction="none")
        pt = torch.exp(-ce_loss)
        loss = (1 - pt) ** self.gamma * ce_loss
        if self.reduction == "mean":
            return loss.mean()
        if self.reduction == "sum":
            return loss.sum()
        return loss


class LesionNet(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1),
            nn.SiLU(),
            nn.Conv2d(8, 16, 3, 2, 1),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(16, num_classes)

    def forward(self, x):
        return self.head(self.backbone(x))


def balanced_accuracy(predicted, labels, num_classes):
    recalls = []
    for c in range(num_classes):
        rows = labels == c
        if rows.any():
            recalls.append((predicted[rows] == c).float().mean())
    return torch.stack(recalls).mean().item()


def main():
    torch.manual_seed(10)
    num_classes = 2
    images = torch.randn(24, 3, 16, 16)
    labels = torch.multinomial(torch.tensor([0.8, 0.2]), 24, replacement=True)
    model = LesionNet(num_classes)
    focal_loss = FocalLoss(gamma=1.5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(4):
        for rows in torch.randperm(24).split(8):
            logits = model(images[rows])
            loss = focal_loss(logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        logits = model(images)
        total = focal_loss(logits, labels)
        score = balanced_accuracy(logits.argmax(dim=1), labels, num_classes)
    print(f"focal {total.item():.6f} balanced accuracy {score:.6f}")


if __name__ == "__main__":
    main()
