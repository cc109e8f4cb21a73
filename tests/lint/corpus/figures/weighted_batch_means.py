# case: epoch losses that are right: weighted by the batch's size, sums divided once, drop_last, an even split
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class AverageMeter:
    def __init__(self):
        self.sum, self.count = 0.0, 0

    def update(self, value, n=1):
        self.sum += value * n
        self.count += n

    @property
    def avg(self):
        return self.sum / self.count


def train_weighted(model, loader, optimizer):
    criterion = nn.CrossEntropyLoss()
    epoch_loss = 0.0
    for inputs, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(inputs), labels)
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item() * inputs.size(0)
    return epoch_loss / len(loader.dataset)


@torch.no_grad()
def test_summed(model, loader):
    test_loss = 0
    for data, target in loader:
        test_loss += F.cross_entropy(model(data), target, reduction="sum").item()
    test_loss /= len(loader.dataset)
    return test_loss


@torch.no_grad()
def test_metered(model, loader):
    meter = AverageMeter()
    for data, target in loader:
        meter.update(F.cross_entropy(model(data), target).item(), len(target))
    return meter.avg


@torch.no_grad()
def test_concatenated(model, loader):
    per_example = [F.cross_entropy(model(x), y, reduction="none") for x, y in loader]
    return torch.cat(per_example).mean().item()


def train_full_batches(model, dataset, optimizer):
    loader = DataLoader(dataset, batch_size=64, shuffle=True, drop_last=True)
    total = 0.0
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)


@torch.no_grad()
def even_split(model):
    x, y = torch.randn(512, 10), torch.randint(3, (512,))
    losses = [F.cross_entropy(model(a), b) for a, b in zip(x.split(64), y.split(64), strict=True)]
    return torch.stack(losses).mean().item()


def accuracy(model, loader):
    correct = sum((model(x).argmax(1) == y).sum().item() for x, y in loader)
    return correct / len(loader.dataset)


if __name__ == "__main__":
    data = TensorDataset(torch.randn(300, 10), torch.randint(3, (300,)))
    batches = DataLoader(data, batch_size=64)
    net = nn.Linear(10, 3)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    print(train_weighted(net, batches, opt), train_full_batches(net, data, opt))
    print(test_summed(net, batches), test_metered(net, batches), test_concatenated(net, batches))
    print(even_split(net), accuracy(net, batches))
