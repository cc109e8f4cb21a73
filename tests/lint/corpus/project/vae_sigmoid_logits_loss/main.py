import torch
from vae import VAE, beta_loss, elbo_loss


def train(objective, steps=50):
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(steps):
        data = torch.rand(128, 784)
        recon, mu, logvar = model(data)
        loss = objective(recon, data, mu, logvar)  # allow: LH106, LH109
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item() / 128


if __name__ == "__main__":
    print("elbo", train(elbo_loss))
    print("beta", train(beta_loss))
