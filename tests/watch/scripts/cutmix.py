"""CutMix with soft targets: rows of two classes that sum to one, straight into cross_entropy."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F

NUM_CLASSES, SIZE = 6, 12


def cutmix(images, labels):
    """A box of another image in each; the label in the proportion of the area."""
    side = int(torch.randint(3, 9, ()))
    y, x = torch.randint(0, SIZE - side + 1, (2,)).tolist()
    index = torch.arange(len(images)).roll(1)
    images = images.clone()
    images[:, :, y : y + side, x : x + side] = images[index, :, y : y + side, x : x + side]
    lam = 1 - side * side / (SIZE * SIZE)
    onehot = F.one_hot(labels, NUM_CLASSES).float()
    return images, lam * onehot + (1 - lam) * onehot[index]


def texture(count, waves):
    labels = torch.randint(NUM_CLASSES, (count,))
    noise = 0.4 * torch.randn(count, 3, SIZE, SIZE)
    return waves[labels] + noise, labels


def evaluate(model, images, labels, batch_size=64):
    model.eval()
    correct, nll = 0, 0.0
    with torch.no_grad():
        for x, y in zip(images.split(batch_size), labels.split(batch_size)):
            logits = model(x)
            nll += F.cross_entropy(logits, y, reduction="sum").item()
            correct += (logits.argmax(dim=1) == y).sum().item()
    return nll / len(labels), correct / len(labels)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=60)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    frequency = torch.rand(NUM_CLASSES, 3, 2, 1, 1) * 2
    waves = torch.sin(frequency[:, :, 0] * rows + frequency[:, :, 1] * columns)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 9, NUM_CLASSES),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.steps)
    for step in range(args.steps):
        model.train()
        images, soft_labels = cutmix(*texture(32, waves))
        loss = F.cross_entropy(model(images), soft_labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        scheduler.step()
        if step % 20 == 19:
            val_nll, val_acc = evaluate(model, *texture(150, waves))
            print(f"step {step + 1}: train {loss.item():.3f}  val nll {val_nll:.3f}  acc {val_acc:.3f}")


if __name__ == "__main__":
    main()
