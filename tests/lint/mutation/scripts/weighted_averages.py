"""Averages of a training log and of a test, each example weighing the same."""

import torch
from torch import nn
from torch.utils.data import DataLoader, random_split


class AverageMeter:
    """A running average of batch means, weighted by the number of examples."""

    def __init__(self):
        self.sum, self.count = 0.0, 0

    def update(self, value, n):
        self.sum += value * n
        self.count += n

    @property
    def avg(self):
        return self.sum / self.count


class Waves(torch.utils.data.Dataset):
    def __init__(self, n=58):
        self.kind = torch.arange(n) % 3
        grid = torch.linspace(0, 6.28, 32)
        noise = torch.Generator().manual_seed(0)
        self.signal = torch.sin(grid * (1 + self.kind[:, None]))
        self.signal = self.signal + 0.3 * torch.randn(n, 32, generator=noise)

    def __len__(self):
        return len(self.kind)

    def __getitem__(self, i):
        return self.signal[i].unsqueeze(0), self.kind[i]


def conv_net(classes):
    return nn.Sequential(
        nn.Conv1d(1, 8, 5, padding=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(4),
        nn.Flatten(),
        nn.Linear(32, classes),
    )


def train_epoch(net, loader, criterion, optimizer):
    meter = AverageMeter()
    net.train()
    for signal, kind in loader:
        logits = net(signal)
        loss = criterion(logits, kind)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        meter.update(loss.item(), kind.size(0))
    return meter.avg


def test_epoch(net, loader, criterion):
    net.eval()
    running_loss = 0.0
    running_corrects = 0
    with torch.no_grad():
        for signal, kind in loader:
            logits = net(signal)
            loss = criterion(logits, kind)
            _, preds = torch.max(logits, dim=1)
            running_loss += loss.item() * signal.size(0)
            running_corrects += torch.sum(preds == kind.data)
    size = len(loader.dataset)
    return running_loss / size, running_corrects.double().item() / size


def main():
    torch.manual_seed(0)
    train_set, test_set = random_split(Waves(), [40, 18])
    train_loader = DataLoader(train_set, batch_size=16, shuffle=True)
    test_loader = DataLoader(test_set, batch_size=8)
    net = conv_net(3)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for epoch in range(2):
        average = train_epoch(net, train_loader, criterion, optimizer)
        test_loss, test_acc = test_epoch(net, test_loader, criterion)
        print(f"{epoch} train {average:.6f} test {test_loss:.6f} accuracy {test_acc:.4f}")


if __name__ == "__main__":
    main()
