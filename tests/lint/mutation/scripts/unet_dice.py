"""A U-Net for binary masks, trained with BCE on logits plus a Dice loss on probabilities."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def double_conv(in_channels, out_channels):
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3, padding=1),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    def __init__(self, n_channels=3, n_classes=1):
        super().__init__()
        self.down1 = double_conv(n_channels, 8)
        self.down2 = double_conv(8, 16)
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.merge = double_conv(16, 8)
        self.outc = nn.Conv2d(8, n_classes, kernel_size=1)

    def forward(self, x):
        skip = self.down1(x)
        deep = self.down2(F.max_pool2d(skip, 2))
        merged = self.merge(torch.cat([skip, self.up(deep)], dim=1))
        logits = self.outc(merged)
        return logits


class DiceLoss(nn.Module):
    def __init__(self, smooth=1.0):
        super().__init__()
        self.smooth = smooth

    def forward(self, probs, target):
        probs, target = probs.flatten(1), target.flatten(1)
        intersection = (probs * target).sum(dim=1)
        union = probs.sum(dim=1) + target.sum(dim=1)
        dice = (2 * intersection + self.smooth) / (union + self.smooth)
        return 1 - dice.mean()


def main():
    torch.manual_seed(0)
    images = torch.randn(6, 3, 16, 16)
    masks = (images.mean(dim=1, keepdim=True) > 0.2).float()
    model = UNet()
    bce = nn.BCEWithLogitsLoss()
    dice = DiceLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(2):
        for x, mask in zip(images.split(3), masks.split(3), strict=True):
            logits = model(x)
            loss = bce(logits, mask) + dice(torch.sigmoid(logits), mask)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        logits = model(images)
        predicted = (torch.sigmoid(logits) > 0.5).float()
        iou = (predicted * masks).sum() / ((predicted + masks) > 0).sum()
    print(f"last loss {loss.item():.6f}, IoU {iou.item():.6f}")


if __name__ == "__main__":
    main()
