"""Mixup: inputs are mixed, and the loss is the same mix of the two cross-entropies."""

import argparse

import torch
import torch.nn as nn
from torch.distributions import Beta


def mixup_data(x, y, alpha):
    lam = Beta(alpha, alpha).sample().item() if alpha > 0 else 1.0
    index = torch.randperm(x.size(0))
    mixed_x = lam * x + (1 - lam) * x[index]
    return mixed_x, y, y[index], lam


def mixup_criterion(criterion, pred, y_a, y_b, lam):
    return lam * criterion(pred, y_a) + (1 - lam) * criterion(pred, y_b)


class ConvNet(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)
        self.bn = nn.BatchNorm2d(12)
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.linear = nn.Linear(12 * 16, num_classes)

    def forward(self, x):
        out = self.pool(torch.relu(self.bn(self.conv(x))))
        return self.linear(out.flatten(1))


parser = argparse.ArgumentParser(description="mixup")
parser.add_argument("--lr", default=0.01, type=float)
parser.add_argument("--alpha", default=1.0, type=float)
parser.add_argument("--epochs", default=4, type=int)
parser.add_argument("--seed", default=0, type=int)
args = parser.parse_args()
torch.manual_seed(args.seed)

templates = torch.randn(5, 3, 8, 8)
labels = torch.randint(5, (480,))
images = templates[labels] + 0.5 * torch.randn(480, 3, 8, 8)
trainset = torch.utils.data.TensorDataset(images[:384], labels[:384])
testset = torch.utils.data.TensorDataset(images[384:], labels[384:])
trainloader = torch.utils.data.DataLoader(trainset, batch_size=32, shuffle=True)
testloader = torch.utils.data.DataLoader(testset, batch_size=40)

net = ConvNet(num_classes=5)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(net.parameters(), lr=args.lr)

for epoch in range(args.epochs):
    net.train()
    correct, total = 0.0, 0
    for inputs, targets in trainloader:
        inputs, targets_a, targets_b, lam = mixup_data(inputs, targets, args.alpha)
        outputs = net(inputs)
        loss = mixup_criterion(criterion, outputs, targets_a, targets_b, lam)
        predicted = outputs.argmax(1)
        total += targets.size(0)
        correct += (
            lam * predicted.eq(targets_a).sum().item() + (1 - lam) * predicted.eq(targets_b).sum().item()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    net.eval()
    test_loss, right = 0.0, 0
    with torch.no_grad():
        for inputs, targets in testloader:
            outputs = net(inputs)
            test_loss += criterion(outputs, targets).item() * inputs.size(0)
            right += outputs.argmax(1).eq(targets).sum().item()
    print(f"epoch {epoch}: train acc {correct / total:.3f}", end=", ")
    print(f"test loss {test_loss / len(testset):.4f}, test acc {right / len(testset):.3f}")
