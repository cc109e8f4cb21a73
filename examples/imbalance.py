"""A rare class: weights in the loss buy recall, and pay with the probabilities, which have to be put right.

The weights are those of the classes in the training rows. A network so trained speaks for classes that are
equally frequent; its probabilities hold again once it is told how frequent they are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from likelihead.evaluate import adjust_prior
from likelihead.nn import CrossEntropyLoss

SHARES = torch.tensor([0.95, 0.05])  # healthy, ill


def patients(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ill = (torch.rand(rows, generator=generator) < SHARES[1]).long()
    measures = torch.randn(rows, 6, generator=generator)
    measures[:, :2] += 1.5 * ill[:, None]
    return measures, ill


def train(x: Tensor, y: Tensor, weight: Tensor | None) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
    criterion = CrossEntropyLoss(weight=weight)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-4)
    for _ in range(10):
        for rows in torch.randperm(len(y)).split(128):
            optimizer.zero_grad()
            criterion(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return model


def show(name: str, log_probs: Tensor, y: Tensor) -> None:
    recall = (log_probs.argmax(dim=1) == y)[y == 1].double().mean().item()
    nll = nn.functional.nll_loss(log_probs, y).item()
    said = log_probs[:, 1].exp().mean().item()
    print(
        f"{name:<28}  recall {recall:.2f}  NLL {nll:.3f}  ill: {said:.1%} said, {y.double().mean():.1%} are"
    )


def main() -> None:
    x, y = patients(4000, seed=1)
    x_test, y_test = patients(4000, seed=2)
    counts = torch.bincount(y, minlength=2)
    weight = len(y) / (2 * counts)

    plain = train(x, y, weight=None)
    weighted = train(x, y, weight=weight)
    with torch.no_grad():
        logits, weighted_logits = plain(x_test), weighted(x_test)
    equal = torch.tensor([0.5, 0.5])
    adjusted = adjust_prior(weighted_logits, train_prior=equal, deploy_prior=counts / len(y))
    show("no weights", logits.log_softmax(dim=1), y_test)
    show("class weights", weighted_logits.log_softmax(dim=1), y_test)
    show("class weights, put right", adjusted.log_softmax(dim=1), y_test)


if __name__ == "__main__":
    main()
