# case: VAE in the usual form; exp of a log-variance is meant, sigmoid + BCE only loses precision
import torch
from torch import nn
from torch.nn import functional as F


class ConvVAE(nn.Module):
    def __init__(self, latent=10):
        super().__init__()
        self.enc = nn.Sequential(
            nn.Conv2d(1, 8, 4, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 4, 2, 1), nn.ReLU(), nn.Flatten()
        )
        self.mu = nn.Linear(16 * 7 * 7, latent)
        self.logvar = nn.Linear(16 * 7 * 7, latent)
        self.up = nn.Linear(latent, 16 * 7 * 7)
        self.dec = nn.Sequential(
            nn.Unflatten(1, (16, 7, 7)),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 8, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(8, 1, 4, 2, 1),
            nn.Sigmoid(),
        )

    def sample(self, mu, logvar):
        if not self.training:
            return mu
        return mu + torch.randn_like(mu) * logvar.mul(0.5).exp()

    def forward(self, x):
        h = self.enc(x)
        mu, logvar = self.mu(h), self.logvar(h)
        return self.dec(self.up(self.sample(mu, logvar))), mu, logvar


def elbo(recon, x, mu, logvar, beta=1.0):
    rec = F.binary_cross_entropy(recon, x, reduction="sum")  # expect: LH109
    kld = 0.5 * torch.sum(logvar.exp() + mu**2 - 1.0 - logvar)
    return (rec + beta * kld) / x.size(0)


model = ConvVAE()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for _ in range(3):
    batch = torch.rand(16, 1, 28, 28)
    recon, mu, logvar = model(batch)
    loss = elbo(recon, batch, mu, logvar)  # allow: LH109
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
model.eval()
with torch.no_grad():
    pixels = (model(batch)[0] > 0.5).float()
print(loss.item(), pixels.mean().item())
