"""Binary segmentation, Kaggle style: Dice on probabilities plus BCE on the logits they come from."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


def double_conv(in_channels, out_channels):
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3, padding=1),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    def __init__(self, n_class=1):
        super().__init__()
        self.dconv_down1 = double_conv(1, 8)
        self.dconv_down2 = double_conv(8, 16)
        self.maxpool = nn.MaxPool2d(2)
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.dconv_up1 = double_conv(8 + 16, 8)
        self.conv_last = nn.Conv2d(8, n_class, 1)

    def forward(self, x):
        conv1 = self.dconv_down1(x)
        x = self.dconv_down2(self.maxpool(conv1))
        x = torch.cat([self.upsample(x), conv1], dim=1)
        return self.conv_last(self.dconv_up1(x))


def dice_loss(pred, target, smooth=1.0):
    pred, target = pred.contiguous(), target.contiguous()
    intersection = (pred * target).sum(dim=(2, 3))
    union = pred.sum(dim=(2, 3)) + target.sum(dim=(2, 3))
    return (1 - (2.0 * intersection + smooth) / (union + smooth)).mean()


def calc_loss(pred, target, metrics, bce_weight=0.5):
    bce = F.binary_cross_entropy_with_logits(pred, target)
    dice = dice_loss(torch.sigmoid(pred), target)
    loss = bce * bce_weight + dice * (1 - bce_weight)
    for name, value in (("bce", bce), ("dice", dice), ("loss", loss)):
        metrics[name] = metrics.get(name, 0.0) + value.item() * target.size(0)
    return loss


def discs(count):
    yy, xx = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    cy, cx = 4 + 8 * torch.rand(2, count, 1, 1)
    radius = 2 + 3 * torch.rand(count, 1, 1)
    mask = ((yy - cy) ** 2 + (xx - cx) ** 2 < radius**2).float().unsqueeze(1)
    return mask + 0.4 * torch.randn_like(mask), mask


parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--num_epochs", type=int, default=4)
args = parser.parse_args()
torch.manual_seed(args.seed)

data = {"train": discs(96), "val": discs(40)}
loaders = {
    phase: torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(*tensors), batch_size=8, shuffle=phase == "train"
    )
    for phase, tensors in data.items()
}
model = UNet()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

for epoch in range(args.num_epochs):
    for phase in ["train", "val"]:
        model.train(phase == "train")
        metrics, samples = {}, 0
        for inputs, labels in loaders[phase]:
            optimizer.zero_grad()
            with torch.set_grad_enabled(phase == "train"):
                outputs = model(inputs)
                loss = calc_loss(outputs, labels, metrics)
                if phase == "train":
                    loss.backward()
                    optimizer.step()
            samples += inputs.size(0)
        print(f"{phase}: " + ", ".join(f"{k}: {v / samples:.4f}" for k, v in metrics.items()))

model.eval()
with torch.no_grad():
    inputs, labels = data["val"]
    predicted = (torch.sigmoid(model(inputs)) > 0.5).float()
print(f"val Dice at 0.5: {1 - dice_loss(predicted, labels).item():.3f}")
