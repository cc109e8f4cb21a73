"""Gradient accumulation in which the gradients, not the losses, are divided before the step."""

import argparse

import torch
from torch import nn


class Trainer:
    def __init__(self, model, optimizer, micro_steps):
        self.model, self.optimizer, self.micro_steps = model, optimizer, micro_steps
        self.criterion = nn.CrossEntropyLoss()
        self.history = []

    def step(self, micro_batches):
        self.optimizer.zero_grad()
        losses = []
        for x, y in micro_batches:
            loss = self.criterion(self.model(x), y)
            loss.backward()
            losses.append(loss.detach())
        for p in self.model.parameters():
            if p.grad is not None:
                p.grad.div_(self.micro_steps)
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.history.append(torch.stack(losses).mean().item())

    @torch.no_grad()
    def accuracy(self, x, y):
        self.model.eval()
        predicted = self.model(x).max(1)[1]
        self.model.train()
        return (predicted == y).float().mean().item()


def moons(n):
    """Three interleaved arcs."""
    y = torch.randint(3, (n,))
    t = 3.1416 * torch.rand(n)
    x = torch.stack([t.cos() + 0.8 * y, t.sin() * (1 - 2 * (y % 2)) + 0.3 * (y % 2)], dim=1)
    return x + 0.08 * torch.randn(n, 2), y


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--micro-steps", type=int, default=4)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    model = nn.Sequential(nn.Linear(2, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 3))
    trainer = Trainer(model, torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.8), args.micro_steps)
    for _ in range(60):
        trainer.step([moons(16) for _ in range(args.micro_steps)])
    print("losses:", " ".join(f"{x:.3f}" for x in trainer.history[::10]))
    print(f"accuracy {trainer.accuracy(*moons(300)):.3f}")


if __name__ == "__main__":
    main()
