# case: means of batches are averaged over a loader whose last batch is smaller, in five ways of writing it
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

N = 1000
BATCH = 64  # the last batch has 40


def loaders():
    x, y = torch.randn(N, 10), torch.randint(3, (N,))
    train = DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True)
    test = DataLoader(TensorDataset(x[:150], y[:150]), batch_size=BATCH)
    return train, test


def train_epoch(model, loader, loss_fn, optimizer):
    model.train()
    running_loss = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
    return running_loss / len(loader)  # expect: LH501


def test_loop(dataloader, model, loss_fn):
    size, num_batches = len(dataloader.dataset), len(dataloader)
    model.eval()
    test_loss, correct = 0, 0
    with torch.no_grad():
        for x, y in dataloader:
            pred = model(x)
            test_loss += loss_fn(pred, y).item()
            correct += (pred.argmax(1) == y).type(torch.float).sum().item()
    test_loss /= num_batches  # expect: LH501
    correct /= size
    print(f"Accuracy: {100 * correct:>0.1f}%, Avg loss: {test_loss:>8f}")


@torch.no_grad()
def validate(model, loader, criterion):
    losses = []
    for x, y in loader:
        losses.append(criterion(model(x), y).item())
    return np.mean(losses)  # expect: LH501


@torch.no_grad()
def validate_by_hand(model, loader, criterion):
    losses = [criterion(model(x), y).item() for x, y in loader]
    return sum(losses) / len(losses)  # expect: LH501


@torch.no_grad()
def validate_counter(model, loader, criterion):
    total, steps = 0.0, 0
    for x, y in loader:
        total += criterion(model(x), y).item()
        steps += 1
    return total / steps  # expect: LH501


def main(epochs=3):
    train, test = loaders()
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 3))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters())
    for epoch in range(epochs):
        print(epoch, train_epoch(model, train, criterion, optimizer))
        test_loop(test, model, criterion)
    print(validate(model, test, criterion), validate_by_hand(model, test, criterion))
    print(validate_counter(model, test, criterion))


if __name__ == "__main__":
    main()
