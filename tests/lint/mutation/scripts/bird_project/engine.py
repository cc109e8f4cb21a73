"""One epoch of training and one of testing; the criterion is an argument."""

import torch


def train(model, loader, criterion, optimizer):
    model.train()
    for images, species in loader:
        optimizer.zero_grad()
        outputs = model(images)
        loss = criterion(outputs, species)
        loss.backward()
        optimizer.step()


@torch.no_grad()
def validate(model, loader, criterion):
    model.eval()
    total, correct, seen = 0.0, 0, 0
    for images, species in loader:
        outputs = model(images)
        total += criterion(outputs, species).item() * images.size(0)
        preds = outputs.argmax(dim=1)
        correct += (preds == species).sum().item()
        seen += images.size(0)
    return total / seen, correct / seen


@torch.no_grad()
def predict(model, images):
    model.eval()
    outputs = model(images)
    return torch.softmax(outputs, dim=1)
