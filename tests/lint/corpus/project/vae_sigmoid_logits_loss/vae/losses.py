import torch
import torch.nn.functional as F


def kl(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


def elbo_loss(recon_x, x, mu, logvar):
    bce = F.binary_cross_entropy(recon_x, x, reduction="sum")  # expect: LH109
    return bce + kl(mu, logvar)


def beta_loss(recon_x, x, mu, logvar, beta=4.0):
    bce = F.binary_cross_entropy_with_logits(recon_x, x, reduction="sum")  # expect: LH106
    return bce + beta * kl(mu, logvar)
