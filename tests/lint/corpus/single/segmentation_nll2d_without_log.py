# case: an old CrossEntropyLoss2d around NLLLoss that forgot the log-softmax; road scenes, void label 255
import torch
import torch.nn as nn
import torch.nn.functional as F

CLASSES = ["road", "sidewalk", "building", "vegetation", "sky"]
IGNORE = 255


class CrossEntropyLoss2d(nn.Module):
    def __init__(self, weight=None):
        super(CrossEntropyLoss2d, self).__init__()
        self.loss = nn.NLLLoss(weight, ignore_index=IGNORE)

    def forward(self, outputs, targets):
        return self.loss(outputs, targets)  # expect: LH105


class DownsamplerBlock(nn.Module):
    def __init__(self, ninput, noutput):
        super().__init__()
        self.conv = nn.Conv2d(ninput, noutput - ninput, (3, 3), stride=2, padding=1)
        self.pool = nn.MaxPool2d(2, stride=2)
        self.bn = nn.BatchNorm2d(noutput, eps=1e-3)

    def forward(self, input):
        output = torch.cat([self.conv(input), self.pool(input)], 1)
        return F.relu(self.bn(output))


class SmallNet(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.down = nn.Sequential(DownsamplerBlock(3, 8), DownsamplerBlock(8, 24))
        self.up = nn.ConvTranspose2d(24, 12, 2, stride=2)
        self.output_conv = nn.ConvTranspose2d(12, num_classes, 2, stride=2)

    def forward(self, input):
        return self.output_conv(F.relu(self.up(self.down(input))))


def train(model, batches):
    weight = torch.tensor([2.8, 6.9, 3.5, 3.6, 5.0])
    criterion = CrossEntropyLoss2d(weight)
    optimizer = torch.optim.Adam(model.parameters(), 5e-4, (0.9, 0.999), weight_decay=1e-4)
    for step, (images, labels) in enumerate(batches):
        outputs = model(images)
        optimizer.zero_grad()
        loss = criterion(outputs, labels[:, 0])  # allow: LH105
        loss.backward()
        optimizer.step()
        print(f"loss: {loss.item():0.4} (step: {step})")


if __name__ == "__main__":
    labels = torch.randint(0, len(CLASSES), (2, 1, 32, 64))
    labels[:, :, :4] = IGNORE
    train(SmallNet(len(CLASSES)), [(torch.rand(2, 3, 32, 64), labels)] * 3)
