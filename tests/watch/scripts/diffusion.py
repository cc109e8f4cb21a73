"""Denoising diffusion on points in the plane: the network predicts the noise, and the loss is its MSE."""

import argparse
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class NoisePredictor(nn.Module):
    def __init__(self, timesteps, width=64):
        super().__init__()
        self.time = nn.Embedding(timesteps, width)
        self.inp, self.mid, self.out = nn.Linear(2, width), nn.Linear(width, width), nn.Linear(width, 2)

    def forward(self, x, t):
        h = F.silu(self.inp(x) + self.time(t))
        return self.out(F.silu(self.mid(h)))


def swiss_roll(n):
    t = 1.5 * math.pi * (1 + 2 * torch.rand(n))
    return torch.stack([t * t.cos(), t * t.sin()], dim=1) / 10 + 0.03 * torch.randn(n, 2)


class Diffusion:
    def __init__(self, timesteps):
        self.timesteps = timesteps
        self.betas = torch.linspace(1e-4, 0.2, timesteps)
        self.alphas_bar = torch.cumprod(1 - self.betas, dim=0)

    def q_sample(self, x0, t, noise):
        bar = self.alphas_bar[t].unsqueeze(1)
        return bar.sqrt() * x0 + (1 - bar).sqrt() * noise

    def loss(self, model, x0):
        t = torch.randint(0, self.timesteps, (len(x0),))
        noise = torch.randn_like(x0)
        return F.mse_loss(model(self.q_sample(x0, t, noise), t), noise)

    @torch.no_grad()
    def sample(self, model, n):
        x = torch.randn(n, 2)
        for i in reversed(range(self.timesteps)):
            t = torch.full((n,), i)
            beta, bar = self.betas[i], self.alphas_bar[i]
            x = (x - beta / (1 - bar).sqrt() * model(x, t)) / (1 - beta).sqrt()
            if i > 0:
                x = x + beta.sqrt() * torch.randn_like(x)
        return x


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timesteps", type=int, default=30)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    diffusion = Diffusion(args.timesteps)
    model = NoisePredictor(args.timesteps)
    ema = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(80):
        loss = diffusion.loss(model, swiss_roll(128))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ema.update_parameters(model)
        if step % 20 == 0:
            print(f"step {step}: loss {loss.item():.4f}")
    points = diffusion.sample(ema, 200)
    real = swiss_roll(200)
    print(f"spread: real {real.std():.3f}, sampled {points.std():.3f}")


if __name__ == "__main__":
    main()
