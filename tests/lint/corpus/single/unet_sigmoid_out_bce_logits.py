# case: U-Net for lesions that returns torch.sigmoid, trained with BCEWithLogitsLoss, masks cut at 0.5
import torch
import torch.nn as nn
import torch.nn.functional as F


def double_conv(cin, cout):
    return nn.Sequential(
        nn.Conv2d(cin, cout, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(cout, cout, 3, padding=1),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    def __init__(self, n_channels=3, n_classes=1, base=8):
        super().__init__()
        self.down1 = double_conv(n_channels, base)
        self.down2 = double_conv(base, base * 2)
        self.bottom = double_conv(base * 2, base * 4)
        self.up2 = double_conv(base * 6, base * 2)
        self.up1 = double_conv(base * 3, base)
        self.pool = nn.MaxPool2d(2)
        self.outc = nn.Conv2d(base, n_classes, 1)

    def forward(self, x):
        c1 = self.down1(x)
        c2 = self.down2(self.pool(c1))
        y = self.bottom(self.pool(c2))
        y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=True)
        y = self.up2(torch.cat([y, c2], dim=1))
        y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=True)
        y = self.up1(torch.cat([y, c1], dim=1))
        y = self.outc(y)
        y = torch.sigmoid(y)
        return y


def iou(pred, mask, eps=1e-6):
    pred = pred > 0.5
    mask = mask > 0.5
    return ((pred & mask).sum() + eps) / ((pred | mask).sum() + eps)


def train_net(net, loader, epochs=1, lr=1e-3):
    optimizer = torch.optim.RMSprop(net.parameters(), lr=lr, weight_decay=1e-8, momentum=0.9)
    criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0))
    for epoch in range(epochs):
        net.train()
        for imgs, true_masks in loader:
            masks_pred = net(imgs)
            loss = criterion(masks_pred, true_masks)  # expect: LH106
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_value_(net.parameters(), 0.1)
            optimizer.step()
            print(epoch, loss.item(), iou(masks_pred, true_masks).item())


if __name__ == "__main__":
    batches = [(torch.rand(2, 3, 32, 32), (torch.rand(2, 1, 32, 32) > 0.8).float()) for _ in range(3)]
    train_net(UNet(), batches)
