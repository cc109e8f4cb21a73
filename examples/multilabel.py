"""Labels that occur together: a logit and a sigmoid for each, and no softmax, which would choose one of them.

The rows are sums of patterns, of which any number may be there. The likelihood starts the head at the
frequencies of the labels, so that the first loss is the baseline.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from likelihead.evaluate import for_likelihood
from likelihead.likelihoods import MultiLabel

LABELS = ("rain", "wind", "fog", "hail")
FREQUENCIES = torch.tensor([0.5, 0.3, 0.15, 0.05])


def weather(rows: int, generator: torch.Generator) -> TensorDataset:
    """Measures of the weather, and which of the labels are there."""
    patterns = torch.randn(len(LABELS), 12, generator=torch.Generator().manual_seed(7))
    labels = (torch.rand(rows, len(LABELS), generator=generator) < FREQUENCIES).float()
    noise = torch.randn(rows, 12, generator=generator)
    return TensorDataset(labels @ patterns + 0.7 * noise, labels)


def train(model: nn.Module, likelihood: MultiLabel, loader: DataLoader[tuple[Tensor, ...]]) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(8):
        for x, y in loader:
            optimizer.zero_grad()
            likelihood(model(x), y).backward()
            optimizer.step()


def main() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    training, test = weather(2000, generator), weather(500, generator)

    likelihood = MultiLabel.from_targets(training.tensors[1])
    head = likelihood.head(in_features=32)
    likelihood.init_bias_(head)
    model = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), head)
    train(model, likelihood, DataLoader(training, batch_size=64, shuffle=True))

    figures = for_likelihood(likelihood)
    model.eval()
    with torch.no_grad():
        for x, y in DataLoader(test, batch_size=64):  # the last batch is smaller; sums are divided once
            figures.update(model(x), y)
    nll = figures.compute()["nll"]
    present = likelihood.predict(model(test.tensors[0]))

    print(f"baseline  {likelihood.baseline_nll():.3f} nats for each label")
    print(f"network   {float(nll):.3f} nats for each label")
    for label, predicted, true in zip(LABELS, present.T, test.tensors[1].T, strict=True):
        right = (predicted == true).double().mean().item()
        print(f"{label:<5}     right in {right:.1%}")


if __name__ == "__main__":
    main()
