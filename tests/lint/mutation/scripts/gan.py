"""A small generative adversarial network with BCE on logits."""

import torch
import torch.nn as nn

LATENT = 8


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(LATENT, 16, 4, 1, 0),
            nn.BatchNorm2d(16),
            nn.ReLU(True),
            nn.ConvTranspose2d(16, 1, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, noise):
        return self.main(noise)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 4, 2, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Flatten(),
        )
        self.critic = nn.Linear(8 * 4 * 4, 1)

    def forward(self, image):
        return self.critic(self.features(image)).view(-1)


def main():
    torch.manual_seed(999)
    netG, netD = Generator(), Discriminator()
    criterion = nn.BCEWithLogitsLoss()
    optimizerD = torch.optim.Adam(netD.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizerG = torch.optim.Adam(netG.parameters(), lr=2e-4, betas=(0.5, 0.999))
    real_images = torch.rand(18, 1, 8, 8) * 2 - 1

    for epoch in range(2):
        for real in real_images.split(6):
            # Discriminator: real up, fake down.
            netD.zero_grad()
            ones = torch.ones(real.size(0))
            zeros = torch.zeros(real.size(0))
            errD_real = criterion(netD(real), ones)
            fake = netG(torch.randn(real.size(0), LATENT, 1, 1))
            errD_fake = criterion(netD(fake.detach()), zeros)
            errD = errD_real + errD_fake
            errD.backward()
            optimizerD.step()

            # Generator: what the discriminator takes for real.
            netG.zero_grad()
            output = netD(fake)
            errG = criterion(output, ones)
            errG.backward()
            optimizerG.step()
        with torch.no_grad():
            caught = (netD(fake) < 0).float().mean().item()
        print(f"[{epoch}] D {errD.item():.6f} G {errG.item():.6f} caught {caught:.3f}")


if __name__ == "__main__":
    main()
