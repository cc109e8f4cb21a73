"""Actor-critic: one trunk, a softmax policy, a value head with smooth_l1_loss, one backward for both."""

import argparse
from collections import namedtuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Categorical

SavedAction = namedtuple("SavedAction", ["log_prob", "value"])


class Balance:
    """Keep a drifting point near zero."""

    def __init__(self, generator):
        self.generator = generator

    def reset(self):
        self.x = torch.empty(2).uniform_(-0.5, 0.5, generator=self.generator)
        return self.x.clone()

    def step(self, action):
        push = 0.2 if action else -0.2
        self.x[1] = 0.8 * self.x[1] + push
        self.x[0] += self.x[1] + 0.02 * torch.randn((), generator=self.generator)
        return self.x.clone(), 1.0, bool(self.x[0].abs() > 1.5)


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(2, 32)
        self.action_head = nn.Linear(32, 2)
        self.value_head = nn.Linear(32, 1)
        self.saved_actions = []
        self.rewards = []

    def forward(self, x):
        x = F.relu(self.affine1(x))
        action_prob = F.softmax(self.action_head(x), dim=-1)
        return action_prob, self.value_head(x)


def select_action(model, state):
    probs, state_value = model(state)
    m = Categorical(probs)
    action = m.sample()
    model.saved_actions.append(SavedAction(m.log_prob(action), state_value))
    return action.item()


def finish_episode(model, optimizer, gamma):
    R, returns = 0, []
    for r in model.rewards[::-1]:
        R = r + gamma * R
        returns.insert(0, R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + 1e-7)

    policy_losses, value_losses = [], []
    for (log_prob, value), R in zip(model.saved_actions, returns):
        advantage = R - value.item()
        policy_losses.append(-log_prob * advantage)
        value_losses.append(F.smooth_l1_loss(value, torch.tensor([R])))
    optimizer.zero_grad()
    loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum()
    loss.backward()
    optimizer.step()
    del model.rewards[:]
    del model.saved_actions[:]
    return loss.item()


def main():
    parser = argparse.ArgumentParser(description="actor-critic")
    parser.add_argument("--gamma", type=float, default=0.95)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--episodes", type=int, default=40)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    env = Balance(torch.Generator().manual_seed(args.seed))
    model = Policy()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for i_episode in range(args.episodes):
        state = env.reset()
        for t in range(1, 31):
            action = select_action(model, state)
            state, reward, done = env.step(action)
            model.rewards.append(reward)
            if done and t > 1:
                break
        loss = finish_episode(model, optimizer, args.gamma)
        if i_episode % 8 == 0:
            print(f"Episode {i_episode}: {t} steps, loss {loss:.3f}")


if __name__ == "__main__":
    main()
