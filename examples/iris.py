"""Iris twice: a softmax with a negative log-likelihood, and a cross-entropy of logits. They are one loss.

What differs is what the network puts out, and so how to predict: the exponential of log-probabilities, the
softmax of logits. The weights end up the same.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from likelihead.nn import CrossEntropyLoss, NLLLoss


def network(*output: nn.Module) -> nn.Sequential:
    """Four measures in, three species out; the same weights each time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 3), *output).double()


def train(model: nn.Module, criterion: nn.Module, x: Tensor, y: Tensor, epochs: int = 200) -> float:
    """Train on all examples at once; the last loss."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loss = torch.tensor(float("nan"))
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
    return loss.item()


def main() -> None:
    data, species = load_iris(return_X_y=True)
    x, x_test, y, y_test = (
        torch.as_tensor(part)
        for part in train_test_split(data, species, test_size=0.2, random_state=0, stratify=species)
    )
    mean, std = x.mean(0), x.std(0)
    x, x_test = ((part - mean) / std for part in (x, x_test))

    by_logits = network()
    logits_loss = train(by_logits, CrossEntropyLoss(), x, y)
    by_log_probs = network(nn.LogSoftmax(dim=1))
    log_probs_loss = train(by_log_probs, NLLLoss(), x, y)

    with torch.no_grad():
        probs = torch.softmax(by_logits(x_test), dim=1)
        same_probs = torch.exp(by_log_probs(x_test))
    accuracy = (probs.argmax(dim=1) == y_test).double().mean().item()
    difference = (probs - same_probs).abs().max().item()

    print(f"cross-entropy of logits       {logits_loss:.6f}")
    print(f"NLL of log-probabilities      {log_probs_loss:.6f}")
    print(f"accuracy on the test rows     {accuracy:.3f}")
    print(f"probabilities that agree      {'yes' if difference < 1e-9 else 'no'}")


if __name__ == "__main__":
    main()
