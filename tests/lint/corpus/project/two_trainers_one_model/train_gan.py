import torch
import torch.nn as nn
from discriminator import Discriminator
from generator import Generator

LATENT = 100


def main(steps=100, batch=32):
    netG, netD = Generator(LATENT), Discriminator()
    criterion = nn.BCELoss()
    optG = torch.optim.Adam(netG.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optD = torch.optim.Adam(netD.parameters(), lr=2e-4, betas=(0.5, 0.999))
    real_label = torch.ones(batch, 1)
    fake_label = torch.zeros(batch, 1)
    for step in range(steps):
        real = torch.rand(batch, 1, 32, 32) * 2 - 1
        fake = netG(torch.randn(batch, LATENT))

        optD.zero_grad()
        loss_real = criterion(netD(real), real_label)  # expect: LH109
        loss_fake = criterion(netD(fake.detach()), fake_label)  # expect: LH109
        (loss_real + loss_fake).backward()
        optD.step()

        optG.zero_grad()
        loss_g = criterion(netD(fake), real_label)  # expect: LH109
        loss_g.backward()
        optG.step()
        if step % 10 == 0:
            print(step, loss_real.item(), loss_fake.item(), loss_g.item())


if __name__ == "__main__":
    main()
