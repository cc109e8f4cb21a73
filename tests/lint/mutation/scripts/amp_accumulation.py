"""Mixed precision with a gradient scaler, and two micro-batches to a step."""

import torch
import torch.nn as nn

ITERS_TO_ACCUMULATE = 2
CLASS_WEIGHTS = torch.tensor([0.5, 1.0, 1.0, 2.0, 2.0, 4.0])


class DepthwiseNet(nn.Module):
    def __init__(self, classes=6):
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.pointwise = nn.Conv2d(12, 24, 1)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(24, classes)

    def forward(self, x):
        x = nn.functional.hardswish(self.stem(x))
        x = nn.functional.hardswish(self.pointwise(self.depthwise(x)))
        x = x.mean(dim=[2, 3])
        return self.classifier(self.dropout(x))


def train_one_epoch(model, criterion, optimizer, scaler, batches, device):
    model.train()
    optimizer.zero_grad(set_to_none=True)
    for i, (image, target) in enumerate(batches):
        image, target = image.to(device), target.to(device)
        with torch.autocast(device_type=device.type, enabled=device.type == "cuda"):
            output = model(image)
            loss = criterion(output, target)
            loss = loss / ITERS_TO_ACCUMULATE
        scaler.scale(loss).backward()
        if (i + 1) % ITERS_TO_ACCUMULATE == 0:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=5.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)


def accuracy(output, target, topk=(1, 3)):
    with torch.no_grad():
        _, pred = output.topk(max(topk), 1, True, True)
        correct = pred.t().eq(target[None])
        return [correct[:k].flatten().sum().item() / target.size(0) for k in topk]


def main():
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images, targets = torch.randn(24, 3, 16, 16), torch.randint(6, (24,))
    batches = list(zip(images.split(6), targets.split(6), strict=True))
    model = DepthwiseNet().to(device)
    criterion = nn.CrossEntropyLoss(weight=CLASS_WEIGHTS.to(device))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    scaler = torch.amp.GradScaler(device.type, enabled=device.type == "cuda")
    for _ in range(3):
        train_one_epoch(model, criterion, optimizer, scaler, batches, device)
    model.eval()
    with torch.no_grad():
        output = model(images.to(device))
        loss = criterion(output, targets.to(device))
    top1, top3 = accuracy(output, targets.to(device))
    print(f"loss {loss.item():.6f} top-1 {top1:.4f} top-3 {top3:.4f}")


if __name__ == "__main__":
    main()
