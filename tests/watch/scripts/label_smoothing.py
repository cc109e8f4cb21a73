"""Label smoothing in training (its loss cannot reach zero), the plain cross-entropy in validation."""

import argparse

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


class AverageMeter:
    """Computes and stores the average and current value"""

    def __init__(self):
        self.val = self.sum = self.count = 0

    def update(self, val, n=1):
        self.val = val
        self.sum += val * n
        self.count += n

    @property
    def avg(self):
        return self.sum / self.count


def accuracy(output, target, topk=(1,)):
    with torch.no_grad():
        _, pred = output.topk(max(topk), 1, True, True)
        correct = pred.t().eq(target.view(1, -1).expand_as(pred.t()))
        return [correct[:k].reshape(-1).float().sum() * (100.0 / target.size(0)) for k in topk]


def train(loader, model, criterion, optimizer):
    losses, top1 = AverageMeter(), AverageMeter()
    model.train()
    for images, target in loader:
        output = model(images)
        loss = criterion(output, target)
        (acc1,) = accuracy(output, target)
        losses.update(loss.item(), images.size(0))
        top1.update(acc1.item(), images.size(0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses.avg, top1.avg


@torch.no_grad()
def validate(loader, model, criterion):
    losses, top5 = AverageMeter(), AverageMeter()
    model.eval()
    for images, target in loader:
        output = model(images)
        losses.update(criterion(output, target).item(), images.size(0))
        top5.update(accuracy(output, target, topk=(1, 5))[1].item(), images.size(0))
    return losses.avg, top5.avg


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--label-smoothing", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    centers = torch.randn(12, 24)
    labels = torch.randint(12, (700,))
    data = TensorDataset(centers[labels] + 0.7 * torch.randn(700, 24), labels)
    train_set, val_set = torch.utils.data.random_split(data, [540, 160])
    train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
    val_loader = DataLoader(val_set, batch_size=50)

    model = nn.Sequential(nn.Linear(24, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 12))
    criterion = nn.CrossEntropyLoss(label_smoothing=args.label_smoothing)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=1e-4)
    for epoch in range(3):
        train_loss, top1 = train(train_loader, model, criterion, optimizer)
        val_loss, top5 = validate(val_loader, model, nn.CrossEntropyLoss())
        print(f"{epoch}: train {train_loss:.3f} acc1 {top1:.1f}  val {val_loss:.3f} acc5 {top5:.1f}")


if __name__ == "__main__":
    main()
