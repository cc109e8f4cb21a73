"""Pixels into classes: a cross-entropy for each pixel and a Dice loss of each class, both on the same logits.

The scenes hold rings and squares on a background; the border of each thing has no label, as in hand-made
masks, and neither loss counts it. The softmax is taken where the classes are predicted, and nowhere else.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from likelihead.nn import CrossEntropyLoss, DiceLoss

CLASSES = ("background", "ring", "square")
UNLABELLED = -100
SIZE = 32


def scenes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images [N, 1, H, W] with noise, and masks [N, H, W] of class numbers."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    centres = torch.randint(8, SIZE - 8, (count, 4), generator=generator)[..., None, None]
    radius = ((rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2).sqrt()
    side = torch.maximum((rows - centres[:, 2]).abs(), (columns - centres[:, 3]).abs())

    masks = torch.zeros(count, SIZE, SIZE, dtype=torch.int64)
    masks[(radius > 3) & (radius < 7)] = 1
    masks[side < 4] = 2
    images = (masks == 1) * 1.0 + (masks == 2) * 0.7
    masks[side == 4] = UNLABELLED
    noise = 0.3 * torch.randn(count, SIZE, SIZE, generator=generator)
    return (images + noise).unsqueeze(1), masks


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, 16, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, len(CLASSES), 5, padding=2),  # logits, the classes in dimension 1
    )


def train(model: nn.Module, images: Tensor, masks: Tensor, epochs: int = 8) -> None:
    each_pixel = CrossEntropyLoss(ignore_index=UNLABELLED)
    overlap = DiceLoss(from_logits=True, ignore_index=UNLABELLED)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        for x, y in zip(images.split(16), masks.split(16), strict=True):
            optimizer.zero_grad()
            logits = model(x)
            loss = each_pixel(logits, y) + overlap(logits, y)
            loss.backward()
            optimizer.step()


def main() -> None:
    torch.manual_seed(0)
    model = network()
    train(model, *scenes(128, seed=1))

    images, masks = scenes(32, seed=2)
    with torch.no_grad():
        predicted = model(images).softmax(dim=1).argmax(dim=1)
    labelled = masks != UNLABELLED
    for number, name in enumerate(CLASSES):
        here, there = (predicted == number) & labelled, masks == number
        overlap = (here & there).sum().item() / (here | there).sum().item()
        print(f"{name:<10}  intersection over union {overlap:.2f}")


if __name__ == "__main__":
    main()
