# case: PPO update; exp of a difference of log-probabilities is the ratio, entropy from a log-softmax
import torch
import torch.nn as nn
import torch.nn.functional as F


class ActorCritic(nn.Module):
    def __init__(self, n_obs, n_actions, hidden=64):
        super().__init__()
        self.shared = nn.Sequential(nn.Linear(n_obs, hidden), nn.Tanh())
        self.pi = nn.Linear(hidden, n_actions)
        self.v = nn.Linear(hidden, 1)

    def forward(self, obs):
        h = self.shared(obs)
        return F.log_softmax(self.pi(h), dim=-1), self.v(h).squeeze(-1)

    @torch.no_grad()
    def act(self, obs):
        logp, value = self(obs)
        action = torch.multinomial(logp.exp(), 1).squeeze(-1)
        return action, logp.gather(-1, action.unsqueeze(-1)).squeeze(-1), value


def gae(rewards, values, last, gamma=0.99, lam=0.95):
    adv, running = torch.zeros_like(rewards), 0.0
    nxt = last
    for t in reversed(range(len(rewards))):
        delta = rewards[t] + gamma * nxt - values[t]
        running = delta + gamma * lam * running
        adv[t] = running
        nxt = values[t]
    return adv


def update(net, opt, obs, act, old_logp, adv, ret, clip=0.2, epochs=4):
    for _ in range(epochs):
        logp_all, value = net(obs)
        logp = logp_all.gather(1, act[:, None]).squeeze(1)
        ratio = (logp - old_logp).exp()
        surr = torch.min(ratio * adv, ratio.clamp(1 - clip, 1 + clip) * adv)
        entropy = -(logp_all.exp() * logp_all).sum(-1).mean()
        loss = -surr.mean() + 0.5 * F.mse_loss(value, ret) - 0.01 * entropy
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        opt.step()
        kl = (old_logp - logp).mean().item()
        if kl > 0.05:
            break
    return loss.item(), kl


torch.manual_seed(0)
net = ActorCritic(4, 2)
opt = torch.optim.Adam(net.parameters(), lr=3e-4, eps=1e-5)
obs = torch.randn(128, 4)
act, old_logp, values = net.act(obs)
rewards = (act == (obs[:, 0] > 0).long()).float()
adv = gae(rewards, values, torch.tensor(0.0))
ret = adv + values
adv = (adv - adv.mean()) / (adv.std() + 1e-8)
print(update(net, opt, obs, act, old_logp, adv, ret))
