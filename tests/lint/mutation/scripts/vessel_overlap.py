"""Vessels in retinal images: the Dice and Tversky losses of likelihead, once on probabilities."""

import torch
from torch import nn

from likelihead.functional import dice_loss, tversky_loss


class VesselNet(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 5, padding=2)
        self.mix = nn.Conv2d(width, width, 3, padding=1, groups=2)
        self.to_mask = nn.Conv2d(width, 1, 1)

    def forward(self, image):
        hidden = torch.relu(self.stem(image))
        hidden = hidden + torch.relu(self.mix(hidden))
        return self.to_mask(hidden)


def objective(logits, mask):
    probs = torch.sigmoid(logits)
    overlap = dice_loss(probs, mask, from_logits=False, task="binary")
    missed = tversky_loss(logits, mask, from_logits=True, alpha=0.3, beta=0.7, task="binary")
    return overlap + 0.5 * missed


def train(net, images, masks, steps):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.2)
    for step in range(steps):
        loss = objective(net(images), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.6f}")


def sensitivity(net, images, masks):
    with torch.no_grad():
        logits = net(images)
        vessel = logits > 0
    return (vessel & masks.bool()).sum().item() / masks.sum().item()


def main():
    torch.manual_seed(0)
    images = torch.rand(3, 3, 16, 16)
    masks = (images[:, :1] > 0.6).long()
    net = VesselNet()
    train(net, images, masks, 4)
    print(f"sensitivity {sensitivity(net, images, masks):.6f}")


if __name__ == "__main__":
    main()
