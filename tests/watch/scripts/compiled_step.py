"""torch.compile around a model that computes its loss; evaluation runs the plain model."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(12, 32), nn.Linear(32, 6)

    def forward(self, x, target=None):
        log_probs = F.log_softmax(self.fc2(torch.relu(self.fc1(x))), dim=-1)
        if target is None:
            return log_probs
        return F.nll_loss(log_probs, target)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", default="aot_eager")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.compiler.reset()
    centers = torch.randn(6, 12)

    def batch(n):
        y = torch.randint(6, (n,))
        return centers[y] + 0.6 * torch.randn(n, 12), y

    model = Classifier()
    compiled = torch.compile(model, backend=args.backend, dynamic=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    for step in range(40):
        loss = compiled(*batch(32))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            print(f"step {step}: loss {loss.item():.4f}")

    model.eval()
    with torch.no_grad():
        x, y = batch(200)
        log_probs = model(x)
        print(f"test {F.nll_loss(log_probs, y).item():.4f}, surest {log_probs.exp().max().item():.3f}")


if __name__ == "__main__":
    main()
