"""A small GAN on points of a ring: the discriminator gives logits, BCEWithLogitsLoss, one-sided smoothing."""

import argparse
import math

import torch
from torch import nn


def ring(count):
    angle = torch.randint(0, 8, (count,)) * (2 * math.pi / 8)
    return torch.stack([angle.cos(), angle.sin()], dim=1) + 0.05 * torch.randn(count, 2)


def mlp(sizes):
    layers = []
    for a, b in zip(sizes[:-1], sizes[1:]):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--latent", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    generator, discriminator = mlp([args.latent, 64, 64, 2]), mlp([2, 64, 64, 1])
    adversarial_loss = nn.BCEWithLogitsLoss()
    opt_g = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
    opt_d = torch.optim.Adam(discriminator.parameters(), lr=1e-3, betas=(0.5, 0.999))

    valid = torch.ones(args.batch_size, 1)
    fake = torch.zeros(args.batch_size, 1)
    for step in range(args.steps):
        # Train the generator
        opt_g.zero_grad()
        z = torch.randn(args.batch_size, args.latent)
        gen_points = generator(z)
        g_loss = adversarial_loss(discriminator(gen_points), valid)
        g_loss.backward()
        opt_g.step()

        # Train the discriminator
        opt_d.zero_grad()
        real_logits = discriminator(ring(args.batch_size))
        fake_logits = discriminator(gen_points.detach())
        real_loss = adversarial_loss(real_logits, 0.9 * valid)
        fake_loss = adversarial_loss(fake_logits, fake)
        d_loss = (real_loss + fake_loss) / 2
        d_loss.backward()
        opt_d.step()

        if step % 15 == 0:
            with torch.no_grad():
                accuracy = ((real_logits > 0).float().mean() + (fake_logits <= 0).float().mean()) / 2
            print(
                f"step {step}: D {d_loss.item():.3f} (accuracy {accuracy.item():.2f}), G {g_loss.item():.3f}"
            )

    generator.eval()
    with torch.inference_mode():
        radius = generator(torch.randn(256, args.latent)).norm(dim=1)
        realism = torch.sigmoid(discriminator(ring(256))).mean()
    print(f"radius {radius.mean():.3f} +- {radius.std():.3f}, D on real {realism:.3f}")


if __name__ == "__main__":
    main()
