"""Land cover with segmentation_models_pytorch: Dice and cross-entropy, both from logits."""

import segmentation_models_pytorch as smp
import torch
from torch import nn

CLASSES = 4


class LandCover(nn.Module):
    def __init__(self, bands=5, width=12):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(bands, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=2, dilation=2),
            nn.ReLU(),
        )
        self.classifier = nn.Conv2d(width, CLASSES, kernel_size=1)

    def forward(self, x):
        return self.classifier(self.encoder(x))


dice_loss = smp.losses.DiceLoss(mode="multiclass", from_logits=True)
ce_loss = nn.CrossEntropyLoss()


def step(model, tile, label):
    logits = model(tile)
    return dice_loss(logits, label) + ce_loss(logits, label)


def pixel_accuracy(model, tile, label):
    model.eval()
    with torch.no_grad():
        predicted = model(tile).argmax(dim=1)
        return (predicted == label).float().mean().item()


def main():
    torch.manual_seed(5)
    tiles = torch.randn(4, 5, 12, 12)
    labels = torch.randint(CLASSES, (4, 12, 12))
    model = LandCover()
    optimizer = torch.optim.RAdam(model.parameters(), lr=1e-2)
    for _ in range(3):
        loss = step(model, tiles, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"loss {loss.item():.6f} pixel accuracy {pixel_accuracy(model, tiles, labels):.6f}")


if __name__ == "__main__":
    main()
