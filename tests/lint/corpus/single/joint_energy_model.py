# case: energy-based classifier; logsumexp of logits is log p(x), nll_loss of logits picks the score
import torch
import torch.nn as nn
import torch.nn.functional as F


class JEM(nn.Module):
    def __init__(self, n_features=2, n_classes=3, width=64):
        super().__init__()
        self.f = nn.Sequential(nn.Linear(n_features, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.energy_output = nn.Linear(width, 1)
        self.class_output = nn.Linear(width, n_classes)

    def classify(self, x):
        return self.class_output(self.f(x))

    def forward(self, x, y=None):
        logits = self.classify(x)
        if y is None:
            return logits.logsumexp(1)
        return torch.gather(logits, 1, y[:, None]).squeeze(1)


def sgld(model, x, steps=5, lr=1.0, noise=0.01):
    x = x.clone().requires_grad_(True)
    for _ in range(steps):
        grad = torch.autograd.grad(model(x).sum(), [x])[0]
        x.data += lr * grad + noise * torch.randn_like(x)
    return x.detach()


def class_loss(logits, y):
    # cross-entropy taken apart: -z_y + logsumexp(z)
    picked = F.nll_loss(logits, y, reduction="none")
    return (picked + torch.logsumexp(logits, dim=1)).mean()


model = JEM()
optim = torch.optim.Adam(model.parameters(), lr=1e-3)
buffer = torch.empty(256, 2).uniform_(-1, 1)
for i in range(10):
    x = torch.randn(64, 2)
    y = torch.randint(0, 3, (64,))
    inds = torch.randint(0, 256, (64,))
    x_fake = sgld(model, buffer[inds])
    buffer[inds] = x_fake
    l_p_x = model(x_fake).mean() - model(x).mean()
    l_p_y = class_loss(model.classify(x), y)
    loss = l_p_x + l_p_y
    optim.zero_grad()
    loss.backward()
    optim.step()
print(loss.item(), -model(x).mean().item())
