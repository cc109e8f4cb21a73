"""Focal loss by hand, binary with a rare class and multi-class: from logits, p_t as exp(-loss)."""

import argparse
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


def sigmoid_focal_loss(inputs, targets, alpha=0.25, gamma=2.0):
    p = torch.sigmoid(inputs)
    ce_loss = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    loss = ce_loss * ((1 - p_t) ** gamma)
    if alpha >= 0:
        alpha_t = alpha * targets + (1 - alpha) * (1 - targets)
        loss = alpha_t * loss
    return loss.mean()


class FocalLoss(nn.Module):
    def __init__(self, gamma=2.0, weight=None):
        super().__init__()
        self.gamma = gamma
        self.register_buffer("weight", weight)

    def forward(self, logits, target):
        ce = F.cross_entropy(logits, target, reduction="none")
        pt = torch.exp(-ce)
        focal = (1 - pt) ** self.gamma * ce
        if self.weight is not None:
            focal = focal * self.weight[target]
        return focal.mean()


class Detector(nn.Module):
    """Is there something, and what is it?"""

    def __init__(self, features, classes, prior):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(features, 48), nn.ReLU())
        self.objectness = nn.Linear(48, 1)
        self.classes = nn.Linear(48, classes)
        nn.init.constant_(self.objectness.bias, math.log(prior / (1 - prior)))

    def forward(self, x):
        h = self.trunk(x)
        return self.objectness(h).squeeze(-1), self.classes(h)


def anchors(count, centers, prior):
    present = torch.rand(count) < prior
    kind = torch.randint(len(centers), (count,))
    x = torch.where(present[:, None], centers[kind], torch.zeros(())) + 0.5 * torch.randn(
        count, centers.size(1)
    )
    return x, present.float(), kind


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prior", type=float, default=0.1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    centers = 1.5 * torch.randn(4, 10)
    model = Detector(10, 4, args.prior)
    focal = FocalLoss(weight=torch.tensor([1.0, 1.0, 2.0, 2.0]))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(60):
        x, present, kind = anchors(256, centers, args.prior)
        objectness, classes = model(x)
        positive = present.bool()
        loss = sigmoid_focal_loss(objectness, present) + 0.1 * focal(classes[positive], kind[positive])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 15 == 0:
            print(f"step {step}: loss {loss.item():.5f}, {int(positive.sum())} positive")

    with torch.no_grad():
        x, present, kind = anchors(1000, centers, args.prior)
        objectness, classes = model(x)
        found = torch.sigmoid(objectness) > 0.5
        recall = (found & present.bool()).sum() / present.sum()
        right = (classes.argmax(1) == kind)[present.bool()].float().mean()
    print(f"recall {recall:.3f}, classes right {right:.3f}")


if __name__ == "__main__":
    main()
