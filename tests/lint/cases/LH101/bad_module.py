"""One model, two loops: both losses are mended by the one change, and the accuracy is what it was."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(3, 8)
        self.fc2 = nn.Linear(8, 3)
        # What comes out of the last layer:
        self.softmax = nn.Softmax(dim=1)  # probabilities

    def forward(self, x):
        x = torch.relu(self.fc1(x))
        x = self.fc2(x)
        return self.softmax(x)


def train(model, loader, criterion, optimizer):
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        out = model(x)
        loss = criterion(out, y)  # expect: LH101
        model.zero_grad()
    return loss


def evaluate(model, loader, criterion):
    model.eval()
    correct, total = 0, 0.0
    with torch.no_grad():
        for x, y in loader:
            output = model(x)
            total += criterion(output, y).item()  # expect: LH101
            _, predicted = torch.max(output.data, 1)
            correct += (predicted == y).sum().item()
            correct += (output.argmax(dim=1) == y).sum().item()
    return total, correct


model = Net().to("cpu")
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def step(x, target):
    loss = train(model, [(x, target)], criterion, optimizer)
    evaluate(model, [(x, target)], criterion)
    optimizer.zero_grad()
    return loss
