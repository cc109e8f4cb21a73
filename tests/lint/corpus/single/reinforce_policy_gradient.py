# case: REINFORCE and reward-weighted NLL; log-softmax is gathered by action, no label is predicted
from collections import deque

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Categorical


class Corridor:
    """Walk to the right end; a stand-in for gym with its reset/step interface."""

    def __init__(self, n=8):
        self.n = n

    def reset(self):
        self.pos = 0
        return self._obs()

    def _obs(self):
        return F.one_hot(torch.tensor(self.pos), self.n).float()

    def step(self, action):
        self.pos = max(0, self.pos + (1 if action == 1 else -1))
        done = self.pos == self.n - 1
        return self._obs(), 1.0 if done else -0.05, done


class Policy(nn.Module):
    def __init__(self, n_obs=8, n_act=2):
        super().__init__()
        self.affine1 = nn.Linear(n_obs, 32)
        self.affine2 = nn.Linear(32, n_act)

    def forward(self, x):
        return self.affine2(F.relu(self.affine1(x)))

    def act(self, state):
        probs = F.softmax(self.forward(state.unsqueeze(0)), dim=1)
        m = Categorical(probs)
        action = m.sample()
        return action.item(), m.log_prob(action)


def returns(rewards, gamma=0.98):
    out, R = deque(), 0.0
    for r in reversed(rewards):
        R = r + gamma * R
        out.appendleft(R)
    return torch.tensor(list(out))


env, policy = Corridor(), Policy()
optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
for i_episode in range(5):
    state, log_probs, rewards, states, actions = env.reset(), [], [], [], []
    for t in range(60):
        action, log_prob = policy.act(state)
        states.append(state)
        actions.append(action)
        state, reward, done = env.step(action)
        log_probs.append(log_prob)
        rewards.append(reward)
        if done:
            break
    R = returns(rewards)
    policy_loss = -(torch.cat(log_probs) * R).sum()
    optimizer.zero_grad()
    policy_loss.backward()
    optimizer.step()

# off-policy: likelihood of the stored actions, each weighted with its return
logp = F.log_softmax(policy(torch.stack(states)), dim=-1)
weighted = (F.nll_loss(logp, torch.tensor(actions), reduction="none") * R).mean()
print(i_episode, policy_loss.item(), weighted.item())
