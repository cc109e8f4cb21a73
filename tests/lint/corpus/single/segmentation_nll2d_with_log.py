# case: an old CrossEntropyLoss2d with log_softmax inside, a subclass of NLLLoss; logits in, all is well
import torch
import torch.nn as nn
import torch.nn.functional as F


class CrossEntropyLoss2d(nn.NLLLoss):
    """Pixel-wise cross-entropy for old checkpoints: log-softmax over the channels, then NLL."""

    def forward(self, inputs, targets):
        return super().forward(F.log_softmax(inputs, dim=1), targets)


class FCN8(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.feats = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        self.feat3 = nn.Sequential(nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        self.score_feat3 = nn.Conv2d(12, num_classes, 1)
        self.score = nn.Conv2d(24, num_classes, 1)

    def forward(self, x):
        feats = self.feats(x)
        score = F.interpolate(
            self.score(self.feat3(feats)), feats.size()[2:], mode="bilinear", align_corners=False
        )
        score = score + self.score_feat3(feats)
        return F.interpolate(score, x.size()[2:], mode="bilinear", align_corners=False)


def colorize(logits, palette):
    label = logits.max(1)[1]
    return palette[label].permute(0, 3, 1, 2)


model = FCN8(22)
criterion = CrossEntropyLoss2d(torch.ones(22), ignore_index=255)
optimizer = torch.optim.Adam(model.parameters())
palette = torch.randint(0, 256, (22, 3), dtype=torch.uint8)
for step in range(3):
    images, labels = torch.rand(2, 3, 24, 24), torch.randint(0, 22, (2, 24, 24))
    outputs = model(images)
    loss = criterion(outputs, labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item(), colorize(outputs, palette).shape, F.softmax(outputs, dim=1).max().item())
