"""The classic MNIST example: the network ends in a log-softmax and is trained with nll_loss."""

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, 1)
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(4 * 3 * 3, 16)
        self.fc2 = nn.Linear(16, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(x, 2)
        x = torch.flatten(self.dropout(x), 1)
        x = F.relu(self.fc1(x))
        x = self.fc2(x)
        return F.log_softmax(x, dim=1)


def train(model, loader, optimizer):
    model.train()
    for data, target in loader:
        optimizer.zero_grad()
        output = model(data)
        loss = F.nll_loss(output, target)
        loss.backward()
        optimizer.step()


def test(model, loader):
    model.eval()
    test_loss = 0
    correct = 0
    with torch.no_grad():
        for data, target in loader:
            output = model(data)
            test_loss += F.nll_loss(output, target, reduction="sum").item()
            pred = output.argmax(dim=1, keepdim=True)
            correct += pred.eq(target.view_as(pred)).sum().item()
    count = len(loader.dataset)
    return test_loss / count, correct / count


def confidence(model, images):
    model.eval()
    with torch.no_grad():
        log_probs = model(images)
        probs = log_probs.exp()
    return probs.max(dim=1)[0].mean().item()


def main():
    torch.manual_seed(1)
    images, labels = torch.rand(40, 1, 8, 8), torch.randint(0, 10, (40,))
    dataset = torch.utils.data.TensorDataset(images, labels)
    train_loader = torch.utils.data.DataLoader(dataset, batch_size=12, shuffle=True)
    test_loader = torch.utils.data.DataLoader(dataset, batch_size=15)
    model = Net()
    optimizer = optim.Adadelta(model.parameters(), lr=1.0)
    for epoch in range(1, 3):
        train(model, train_loader, optimizer)
        print(epoch, *(f"{number:.6f}" for number in test(model, test_loader)))
    print(f"mean confidence {confidence(model, images):.6f}")


if __name__ == "__main__":
    main()
