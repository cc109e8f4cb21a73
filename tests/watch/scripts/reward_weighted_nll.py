"""Contextual bandit: the NLL of the action taken, per example, weighted by how good its reward was."""

import argparse

import torch
from torch import nn, optim
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, contexts, actions):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(contexts, 32), nn.Tanh())
        self.head = nn.Linear(32, actions)

    def forward(self, x):
        return F.log_softmax(self.head(self.body(x)), dim=-1)


def play(policy, best, batch_size):
    """One pull each; the arm that the context asks for pays about one, the others about nothing."""
    x = torch.randn(batch_size, best.size(0))
    with torch.no_grad():
        actions = torch.multinomial(policy(x).exp(), 1).squeeze(1)
    wanted = (x @ best).argmax(dim=1)
    reward = (actions == wanted).float() + 0.1 * torch.randn(batch_size)
    return x, actions, reward


def main(args):
    torch.manual_seed(args.seed)
    best = torch.randn(6, 4)
    policy = Net(6, 4)
    optimizer = optim.RMSprop(policy.parameters(), lr=args.lr)
    baseline = 0.25
    for i in range(args.iters):
        x, actions, reward = play(policy, best, args.batch_size)
        nll = F.nll_loss(policy(x), actions, reduction="none")
        loss = (nll * (reward - baseline)).mean()  # the sign is free: an advantage may be negative
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        baseline = 0.9 * baseline + 0.1 * reward.mean().item()
        if i % 10 == 0:
            print(f"iter {i:3d}  reward {reward.mean().item():.3f}  objective {loss.item():+.4f}")

    policy.eval()
    with torch.no_grad():
        x, _, _ = play(policy, best, 500)
        greedy = policy(x).argmax(dim=1)
        print("greedy right:", (greedy == (x @ best).argmax(1)).float().mean().item())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--iters", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-2)
    main(parser.parse_args())
