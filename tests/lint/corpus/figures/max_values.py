# case: the values of max are compared with the labels, unpacked, by [0], by .values and by amax
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 84)
        self.fc2 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        return self.fc2(F.relu(self.fc1(torch.flatten(x, 1))))


def test(net, loader):
    correct = total = 0
    net.eval()
    with torch.no_grad():
        for images, labels in loader:
            outputs = net(images)
            predicted, _ = torch.max(outputs.data, 1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()  # expect: LH206
    return 100 * correct / total


def train(net, loader, lr=0.01):
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    net.train()
    hits = 0
    for images, labels in loader:
        optimizer.zero_grad()
        logits = net(images)
        loss = criterion(logits, labels)
        loss.backward()
        optimizer.step()
        pred = logits.max(dim=1)[0]
        hits += pred.eq(labels).sum().item()  # expect: LH206
    return hits / len(loader.dataset)


def batch_accuracy(logits, labels):
    probs = F.softmax(logits, dim=-1)
    best = probs.max(dim=-1).values
    return (best == labels).float().mean()  # expect: LH206


def error_rate(logits, labels):
    return torch.mean((logits.amax(dim=1) != labels).float())  # expect: LH206


if __name__ == "__main__":
    data = TensorDataset(torch.randn(40, 3, 32, 32), torch.randint(10, (40,)))
    loader = DataLoader(data, batch_size=8, shuffle=True)
    model = ConvNet()
    print(train(model, loader), test(model, loader))
    z, y = model(torch.randn(4, 3, 32, 32)), torch.randint(10, (4,))
    print(batch_accuracy(z, y), error_rate(z, y))
