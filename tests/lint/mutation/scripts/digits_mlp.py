"""A multilayer perceptron on small digit images, trained and tested with data loaders."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

CLASSES = 10


def make_loaders(batch_size=16):
    images = torch.randn(72, 1, 8, 8)
    labels = torch.randint(0, CLASSES, (72,))
    train = TensorDataset(images[:52], labels[:52])
    test = TensorDataset(images[52:], labels[52:])
    return DataLoader(train, batch_size=batch_size, shuffle=True), DataLoader(test, batch_size=batch_size)


model = nn.Sequential(
    nn.Flatten(),
    nn.Linear(64, 32),
    nn.ReLU(),
    nn.Dropout(0.1),
    nn.Linear(32, CLASSES),
)
criterion = nn.CrossEntropyLoss()


def train_one_epoch(loader, optimizer):
    model.train()
    for images, labels in loader:
        optimizer.zero_grad()
        outputs = model(images)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()


@torch.no_grad()
def evaluate(loader):
    model.eval()
    total_loss, correct, seen = 0.0, 0, 0
    for images, labels in loader:
        outputs = model(images)
        loss = criterion(outputs, labels)
        total_loss += loss.item() * labels.size(0)
        predicted = outputs.argmax(dim=1)
        correct += (predicted == labels).sum().item()
        seen += labels.size(0)
    return total_loss / seen, correct / seen


if __name__ == "__main__":
    torch.manual_seed(0)
    train_loader, test_loader = make_loaders()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(2):
        train_one_epoch(train_loader, optimizer)
        test_loss, accuracy = evaluate(test_loader)
        print(f"epoch {epoch}: test loss {test_loss:.6f}, accuracy {accuracy:.3f}")
