# case: mixture density network; softmax makes the mixing weights, exp the widths, logsumexp the likelihood
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

ONEOVERSQRT2PI = 1.0 / math.sqrt(2 * math.pi)


class MDN(nn.Module):
    def __init__(self, in_features, out_features, num_gaussians):
        super(MDN, self).__init__()
        self.out_features = out_features
        self.num_gaussians = num_gaussians
        self.hidden = nn.Sequential(nn.Linear(in_features, 20), nn.Tanh())
        self.pi = nn.Linear(20, num_gaussians)
        self.sigma = nn.Linear(20, out_features * num_gaussians)
        self.mu = nn.Linear(20, out_features * num_gaussians)

    def forward(self, minibatch):
        h = self.hidden(minibatch)
        pi = F.softmax(self.pi(h), dim=1)
        sigma = torch.exp(self.sigma(h)).view(-1, self.num_gaussians, self.out_features)
        mu = self.mu(h).view(-1, self.num_gaussians, self.out_features)
        return pi, sigma, mu


def gaussian_probability(sigma, mu, target):
    target = target.unsqueeze(1).expand_as(sigma)
    ret = ONEOVERSQRT2PI * torch.exp(-0.5 * ((target - mu) / sigma) ** 2) / sigma
    return torch.prod(ret, 2)


def mdn_loss(pi, sigma, mu, target):
    prob = pi * gaussian_probability(sigma, mu, target)
    nll = -torch.log(torch.sum(prob, dim=1) + 1e-12)
    return torch.mean(nll)


def sample(pi, sigma, mu):
    pick = torch.distributions.Categorical(probs=pi).sample().view(-1, 1, 1)
    idx = pick.expand(-1, 1, mu.size(2))
    return (mu.gather(1, idx) + sigma.gather(1, idx) * torch.randn_like(idx.float())).squeeze(1)


model = MDN(1, 1, 5)
optimizer = torch.optim.Adam(model.parameters())
y_data = torch.rand(200, 1) * 2 - 1
x_data = y_data + 0.3 * torch.sin(6 * y_data) + 0.05 * torch.randn(200, 1)
for epoch in range(20):
    model.zero_grad()
    pi, sigma, mu = model(x_data)
    loss = mdn_loss(pi, sigma, mu, y_data)
    loss.backward()
    optimizer.step()
print(loss.item(), sample(pi, sigma, mu).shape)
