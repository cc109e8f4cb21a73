"""Semantic segmentation: logits [B, C, H, W], masks stored as bytes, a border of 255 that is ignored."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

NUM_CLASSES, SIZE = 4, 16


class Shapes(Dataset):
    """Rectangles of a class's colour on a background; their outlines are nobody's."""

    def __init__(self, count, generator):
        self.colours = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.2, 0.0], [0.1, 1.0, 0.2], [0.0, 0.1, 1.0]])
        self.samples = [self.draw(generator) for _ in range(count)]

    def draw(self, generator):
        mask = torch.zeros(SIZE, SIZE, dtype=torch.uint8)
        for _ in range(2):
            label = int(torch.randint(1, NUM_CLASSES, (1,), generator=generator))
            y, x = torch.randint(0, SIZE - 8, (2,), generator=generator).tolist()
            mask[y : y + 8, x : x + 8] = 255
            mask[y + 1 : y + 7, x + 1 : x + 7] = label
        known = torch.where(mask == 255, 0, mask).long()
        image = self.colours[known].permute(2, 0, 1)
        return image + 0.3 * torch.randn(image.shape, generator=generator), mask

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        image, mask = self.samples[i]
        return image, mask.long()


class FCN(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.middle = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.skip = nn.Conv2d(3, 8, 3, padding=1)
        self.classifier = nn.Conv2d(24, NUM_CLASSES, 1)

    def forward(self, x):
        low = self.middle(self.down(x))
        up = F.interpolate(low, size=x.shape[-2:], mode="bilinear", align_corners=False)
        out = self.classifier(torch.cat([up, F.relu(self.skip(x))], dim=1))
        return {"out": out, "features": low}


def criterion(outputs, target):
    return F.cross_entropy(outputs["out"], target, ignore_index=255)


def evaluate(model, loader):
    model.eval()
    confusion = torch.zeros(NUM_CLASSES, NUM_CLASSES, dtype=torch.long)
    total, pixels = 0.0, 0
    with torch.inference_mode():
        for image, target in loader:
            output = model(image)["out"]
            total += F.cross_entropy(output, target, ignore_index=255, reduction="sum").item()
            valid = target != 255
            pixels += int(valid.sum())
            pairs = target[valid] * NUM_CLASSES + output.argmax(1)[valid]
            confusion += torch.bincount(pairs, minlength=NUM_CLASSES**2).view(NUM_CLASSES, NUM_CLASSES)
    iou = confusion.diag() / (confusion.sum(0) + confusion.sum(1) - confusion.diag()).clamp(min=1)
    return total / pixels, iou.mean().item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    train_loader = DataLoader(Shapes(80, generator), batch_size=8, shuffle=True, drop_last=True)
    val_loader = DataLoader(Shapes(22, generator), batch_size=8)
    model = FCN()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for epoch in range(args.epochs):
        model.train()
        for image, target in train_loader:
            loss = criterion(model(image), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        val_loss, miou = evaluate(model, val_loader)
        print(f"Epoch {epoch}: train {loss.item():.4f}, val {val_loss:.4f}, mean IoU {miou:.3f}")


if __name__ == "__main__":
    main()
