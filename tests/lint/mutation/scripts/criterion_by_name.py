"""The criterion is chosen by a string, as a configuration would."""

import dataclasses

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclasses.dataclass
class Config:
    loss: str = "smooth"
    hidden: int = 20
    n_classes: int = 4
    batch_size: int = 10
    epochs: int = 2


LOSSES = {
    "ce": nn.CrossEntropyLoss(),
    "smooth": nn.CrossEntropyLoss(label_smoothing=0.05),
}


def build_model(config):
    return nn.Sequential(
        nn.Linear(8, config.hidden),
        nn.ReLU(),
        nn.Linear(config.hidden, config.n_classes),
    )


def run_epoch(model, data, criterion, optimizer, batch_size):
    model.train()
    features, labels = data
    for rows in torch.randperm(len(labels)).split(batch_size):
        logits = model(features[rows])
        loss = criterion(logits, labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def score(model, data):
    model.eval()
    features, labels = data
    with torch.no_grad():
        logits = model(features)
        nll = F.cross_entropy(logits, labels)
        probs = F.softmax(logits, dim=1)
        correct = (logits.argmax(dim=1) == labels).float().mean()
    brier = (probs - F.one_hot(labels, logits.size(1))).pow(2).sum(dim=1).mean()
    return nll.item(), correct.item(), brier.item()


def main(config):
    torch.manual_seed(0)
    centers = torch.randn(config.n_classes, 8)
    labels = torch.randint(config.n_classes, (40,))
    features = centers[labels] + torch.randn(40, 8)
    model = build_model(config)
    criterion = LOSSES[config.loss]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, nesterov=True, momentum=0.9)
    for _ in range(config.epochs):
        run_epoch(model, (features, labels), criterion, optimizer, config.batch_size)
    print("nll {:.6f} accuracy {:.4f} brier {:.6f}".format(*score(model, (features, labels))))


if __name__ == "__main__":
    main(Config())
