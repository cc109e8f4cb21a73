"""A network with three exits: deep supervision in training, and the first exit that is sure enough."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


class MultiExitNet(nn.Module):
    def __init__(self, dim, classes, width=32, depth=3):
        super().__init__()
        sizes = [dim] + [width] * depth
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in zip(sizes[:-1], sizes[1:])
        )
        self.exits = nn.ModuleList(nn.Linear(width, classes) for _ in range(depth))

    def forward(self, x):
        outputs = []
        for block, head in zip(self.blocks, self.exits):
            x = block(x)
            outputs.append(head(x))
        return outputs

    @torch.inference_mode()
    def predict(self, x, threshold):
        """One example at a time; says also where it left."""
        for i, (block, head) in enumerate(zip(self.blocks, self.exits)):
            x = block(x)
            probs = F.softmax(head(x), dim=-1)
            if probs.max() > threshold or i == len(self.blocks) - 1:
                return int(probs.argmax()), i


def rings(n):
    y = torch.randint(4, (n,))
    radius = 0.5 + y + 0.25 * torch.randn(n)
    angle = 6.2832 * torch.rand(n)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1), y


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threshold", type=float, default=0.8)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    model = MultiExitNet(2, 4)
    criterion = nn.CrossEntropyLoss()
    exit_weights = (0.3, 0.3, 1.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for step in range(70):
        x, y = rings(96)
        losses = [criterion(logits, y) for logits in model(x)]
        loss = sum(w * part for w, part in zip(exit_weights, losses))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            print(f"step {step}: " + " ".join(f"{part.item():.3f}" for part in losses))

    model.eval()
    x, y = rings(60)
    taken, right = [0, 0, 0], 0
    for example, label in zip(x, y):
        predicted, where = model.predict(example, args.threshold)
        taken[where] += 1
        right += predicted == label.item()
    print(f"exits taken {taken}, accuracy {right / len(y):.3f}")


if __name__ == "__main__":
    main()
