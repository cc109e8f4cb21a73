# case: Dice loss written by hand for probabilities, fed with the raw output of a fully convolutional net
import torch
import torch.nn as nn
import torch.optim as optim


def dice_loss(pred, target, smooth=1.0):
    pred = pred.contiguous()
    target = target.contiguous()
    intersection = (pred * target).sum(dim=2).sum(dim=2)
    denominator = pred.sum(dim=2).sum(dim=2) + target.sum(dim=2).sum(dim=2) + smooth
    loss = 1 - (2.0 * intersection + smooth) / denominator
    return loss.mean()


class FCN(nn.Module):
    def __init__(self, n_class):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.conv_last = nn.Conv2d(32, n_class, 1)

    def forward(self, x):
        x = self.encoder(x)
        x = self.upsample(x)
        out = self.conv_last(x)
        return out


model = FCN(6)
optimizer_ft = optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), lr=1e-4)

for epoch in range(2):
    for inputs, labels in [(torch.rand(2, 3, 24, 24), torch.randint(0, 2, (2, 6, 24, 24)).float())] * 3:
        optimizer_ft.zero_grad()
        outputs = model(inputs)
        loss = dice_loss(outputs, labels)  # expect: LH111
        loss.backward()
        optimizer_ft.step()
    print("epoch", epoch, "dice", loss.item())

with torch.no_grad():
    pred = model(torch.rand(1, 3, 24, 24))
    mask = torch.sigmoid(pred) > 0.5
