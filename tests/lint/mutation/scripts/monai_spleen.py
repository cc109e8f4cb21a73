"""A volume segmentation with MONAI's Dice loss, which takes the sigmoid itself when told to."""

import torch
from monai.losses import DiceLoss
from torch import nn


class VNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Conv3d(1, 8, 3, stride=2, padding=1)
        self.act = nn.PReLU()
        self.up = nn.ConvTranspose3d(8, 8, 2, stride=2)
        self.final = nn.Conv3d(8, 1, 1)

    def forward(self, volume):
        x = self.act(self.down(volume))
        x = self.act(self.up(x))
        return self.final(x)


def main():
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    volumes = torch.randn(4, 1, 8, 8, 8, device=device)
    organs = (volumes > 0.7).float()
    model = VNet().to(device)
    loss_function = DiceLoss(sigmoid=True)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)

    for epoch in range(3):
        model.train()
        for volume, organ in zip(volumes.split(2), organs.split(2), strict=True):
            optimizer.zero_grad()
            outputs = model(volume)
            loss = loss_function(outputs, organ)
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} last loss {loss.item():.6f}")

    model.eval()
    with torch.no_grad():
        outputs = model(volumes)
        binary = outputs > 0
        overlap = (binary & organs.bool()).sum().item()
    print(f"overlap {overlap}")


if __name__ == "__main__":
    main()
