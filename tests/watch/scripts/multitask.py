"""Two heads, two losses of different kinds, weighted by learned uncertainties; also one backward for each."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


class MultiTaskNet(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.shared = nn.Sequential(nn.Linear(12, 48), nn.ReLU())
        self.species = nn.Linear(48, num_classes)
        self.age = nn.Linear(48, 1)
        self.log_vars = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        h = self.shared(x)
        return self.species(h), self.age(h).squeeze(-1)

    def combine(self, *losses):
        """Kendall, Gal & Cipolla: exp(-s) * loss + s for each task."""
        return sum(torch.exp(-s) * loss + s for s, loss in zip(self.log_vars, losses))


def animals(count, centers, slope):
    species = torch.randint(len(centers), (count,))
    x = centers[species] + 0.5 * torch.randn(count, centers.size(1))
    age = x @ slope + 0.1 * torch.randn(count)
    return x, species, age


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--separate", type=int, default=20, help="last steps with one backward per task")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    centers, slope = torch.randn(5, 12), torch.randn(12) / 4
    model = MultiTaskNet(5)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    steps = 60
    for step in range(steps):
        x, species, age = animals(32, centers, slope)
        logits, predicted_age = model(x)
        ce, mse = F.cross_entropy(logits, species), F.mse_loss(predicted_age, age)
        optimizer.zero_grad()
        if step < steps - args.separate:
            model.combine(ce, mse).backward()
        else:
            ce.backward(retain_graph=True)
            (0.5 * mse).backward()
        optimizer.step()
        if step % 15 == 0:
            print(f"step {step}: species {ce.item():.4f}, age {mse.item():.4f}")

    model.eval()
    with torch.no_grad():
        x, species, age = animals(200, centers, slope)
        logits, predicted_age = model(x)
        accuracy = (logits.argmax(dim=1) == species).float().mean()
        print(f"accuracy {accuracy:.3f}, RMSE {F.mse_loss(predicted_age, age).sqrt():.3f}")


if __name__ == "__main__":
    main()
