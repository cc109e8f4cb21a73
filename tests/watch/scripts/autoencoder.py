"""Denoising autoencoder: pixels in [0, 1], a sigmoid at the end, the mean squared error between the two."""

import argparse

import torch
from torch import nn


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(16, 16, 2, stride=2),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 1, 2, stride=2),
            nn.Sigmoid(),
        )

    def forward(self, x):
        encoded = self.encoder(x)
        return encoded, self.decoder(encoded)


def bars(count):
    image = torch.zeros(count, 1, 12, 12)
    for i, (kind, place) in enumerate(torch.randint(10, (count, 2)).tolist()):
        if kind < 5:
            image[i, 0, place : place + 3] = 1.0
        else:
            image[i, 0, :, place : place + 3] = 1.0
    return image


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=2e-2)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    autoencoder = AutoEncoder()
    optimizer = torch.optim.Adam(autoencoder.parameters(), lr=args.lr)
    loss_func = nn.MSELoss()
    for step in range(70):
        clean = bars(32)
        noisy = (clean + 0.3 * torch.randn_like(clean)).clamp(0, 1)
        encoded, decoded = autoencoder(noisy)
        loss = loss_func(decoded, clean)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 15 == 0:
            print(f"step {step}: train loss {loss.item():.4f}")

    autoencoder.eval()
    with torch.no_grad():
        clean = bars(64)
        code, restored = autoencoder((clean + 0.3 * torch.randn_like(clean)).clamp(0, 1))
        wrong = ((restored > 0.5).float() != clean).float().mean()
    print(
        f"code {tuple(code.shape[1:])}, PSNR {-10 * torch.log10(loss_func(restored, clean)).item():.2f} dB",
        end=", ",
    )
    print(f"{wrong.item():.2%} of the pixels on the wrong side")


if __name__ == "__main__":
    main()
