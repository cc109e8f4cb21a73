# case: WGAN-GP and a least-squares GAN; critics end in Linear and no binary cross-entropy is meant
import torch
import torch.autograd as autograd
import torch.nn as nn

LAMBDA, N_CRITIC, LATENT = 10, 2, 16


class Generator(nn.Module):
    def __init__(self):
        super().__init__()

        def block(in_feat, out_feat, normalize=True):
            layers = [nn.Linear(in_feat, out_feat)]
            if normalize:
                layers.append(nn.BatchNorm1d(out_feat, 0.8))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            return layers

        self.model = nn.Sequential(
            *block(LATENT, 64, normalize=False), *block(64, 128), nn.Linear(128, 64), nn.Tanh()
        )

    def forward(self, z):
        return self.model(z)


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))

    def forward(self, x):
        return self.model(x)


def gradient_penalty(critic, real, fake):
    alpha = torch.rand(real.size(0), 1)
    mixed = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
    d = critic(mixed)
    g = autograd.grad(d, mixed, torch.ones_like(d), create_graph=True, retain_graph=True)[0]
    return ((g.norm(2, dim=1) - 1) ** 2).mean()


def train_wgan(steps=4):
    G, D = Generator(), Critic()
    opt_g, opt_d = (torch.optim.Adam(m.parameters(), lr=2e-4, betas=(0.5, 0.9)) for m in (G, D))
    for i in range(steps):
        real = torch.randn(32, 64)
        fake = G(torch.randn(32, LATENT)).detach()
        d_loss = -torch.mean(D(real)) + torch.mean(D(fake)) + LAMBDA * gradient_penalty(D, real, fake)
        opt_d.zero_grad()
        d_loss.backward()
        opt_d.step()
        if i % N_CRITIC == 0:
            g_loss = -torch.mean(D(G(torch.randn(32, LATENT))))
            opt_g.zero_grad()
            g_loss.backward()
            opt_g.step()
    return d_loss.item(), g_loss.item()


def train_lsgan(steps=4):
    G, D, adversarial_loss = Generator(), Critic(), nn.MSELoss()
    valid, fake_label = torch.ones(32, 1), torch.zeros(32, 1)
    opt = torch.optim.Adam(D.parameters(), lr=2e-4)
    for _ in range(steps):
        real, fake = torch.randn(32, 64), G(torch.randn(32, LATENT)).detach()
        loss = 0.5 * (adversarial_loss(D(real), valid) + adversarial_loss(D(fake), fake_label))
        opt.zero_grad()
        loss.backward()
        opt.step()
    return loss.item(), (D(real) > 0.5).float().mean().item()


if __name__ == "__main__":
    print(train_wgan(), train_lsgan())
