"""Train the cell segmentation."""

import torch
from losses import SegmentationLoss
from unet import CellUNet


def main():
    torch.manual_seed(0)
    images = torch.randn(6, 1, 16, 16)
    masks = (images[:, 0] > 0.8).long()
    model = CellUNet()
    loss_module = SegmentationLoss(dice_weight=0.7)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for epoch in range(3):
        model.train()
        for image, mask in zip(images.split(3), masks.split(3), strict=True):
            outputs = model(image)
            loss = loss_module(outputs, mask)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} last loss {loss.item():.6f}")
    model.eval()
    with torch.no_grad():
        segmented = model(images).argmax(dim=1)
        agreement = (segmented == masks).float().mean().item()
    print(f"pixel accuracy {agreement:.6f}")


if __name__ == "__main__":
    main()
