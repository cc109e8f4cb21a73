# case: segmentation with BCE-with-logits plus a Dice loss that applies its own sigmoid
import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


class BCEDiceLoss(nn.Module):
    def __init__(self, smooth=1e-5):
        super().__init__()
        self.smooth = smooth

    def forward(self, input, target):
        bce = F.binary_cross_entropy_with_logits(input, target)
        input = torch.sigmoid(input)
        num = target.size(0)
        input = input.view(num, -1)
        target = target.view(num, -1)
        intersection = input * target
        dice = (2.0 * intersection.sum(1) + self.smooth) / (input.sum(1) + target.sum(1) + self.smooth)
        dice = 1 - dice.sum() / num
        return 0.5 * bce + dice


def iou_score(output, target, smooth=1e-5):
    if torch.is_tensor(output):
        output = torch.sigmoid(output).data.cpu().numpy()
    target = target.data.cpu().numpy()
    output_ = output > 0.5
    target_ = target > 0.5
    return ((output_ & target_).sum() + smooth) / ((output_ | target_).sum() + smooth)


class NestedUNet(nn.Module):
    """Two levels of U-Net++ with deep supervision: a list of logit maps."""

    def __init__(self, deep_supervision=True, w=8):
        super().__init__()
        self.deep_supervision = deep_supervision
        self.conv0_0 = nn.Conv2d(3, w, 3, padding=1)
        self.conv1_0 = nn.Conv2d(w, 2 * w, 3, padding=1)
        self.conv0_1 = nn.Conv2d(3 * w, w, 3, padding=1)
        self.final0 = nn.Conv2d(w, 1, 1)
        self.final1 = nn.Conv2d(w, 1, 1)

    def forward(self, x):
        x0 = F.relu(self.conv0_0(x))
        x1 = F.relu(self.conv1_0(F.max_pool2d(x0, 2)))
        x01 = F.relu(self.conv0_1(torch.cat([x0, F.interpolate(x1, scale_factor=2)], 1)))
        if self.deep_supervision:
            return [self.final0(x0), self.final1(x01)]
        return self.final1(x01)


def train(config, model, criterion, optimizer, loader):
    model.train()
    for input, target in loader:
        if config.deep_supervision:
            outputs = model(input)
            loss = 0
            for output in outputs:
                loss += criterion(output, target)
            loss /= len(outputs)
            iou = iou_score(outputs[-1], target)
        else:
            output = model(input)
            loss = criterion(output, target)
            iou = iou_score(output, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print("loss %.4f iou %.4f" % (loss.item(), iou))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--deep_supervision", action="store_true")
    config = parser.parse_args()
    net = NestedUNet(config.deep_supervision)
    data = [(torch.rand(2, 3, 16, 16), (torch.rand(2, 1, 16, 16) > 0.7).float()) for _ in range(2)]
    train(config, net, BCEDiceLoss(), torch.optim.SGD(net.parameters(), lr=1e-2), data)
