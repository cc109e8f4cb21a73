"""Variational autoencoder: a sigmoid ends the decoder, BCE summed over everything, plus the KL term."""
# true: LH109

import argparse

import torch
from torch import nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 48)
        self.fc21 = nn.Linear(48, 4)
        self.fc22 = nn.Linear(48, 4)
        self.fc3 = nn.Linear(4, 48)
        self.fc4 = nn.Linear(48, 64)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        h3 = F.relu(self.fc3(z))
        return torch.sigmoid(self.fc4(h3))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 64))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, 64), reduction="sum")
    # -0.5 * sum(1 + log(sigma^2) - mu^2 - sigma^2)
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE + KLD


def train(epoch, model, optimizer, train_loader):
    model.train()
    train_loss = 0
    for data in train_loader:
        optimizer.zero_grad()
        recon_batch, mu, logvar = model(data)
        loss = loss_function(recon_batch, data, mu, logvar)
        loss.backward()
        train_loss += loss.item()
        optimizer.step()
    print(f"====> Epoch: {epoch} Average loss: {train_loss / len(train_loader.dataset):.4f}")


def test(model, test_loader):
    model.eval()
    test_loss = 0
    with torch.no_grad():
        for data in test_loader:
            recon_batch, mu, logvar = model(data)
            test_loss += loss_function(recon_batch, data, mu, logvar).item()
    print(f"====> Test set loss: {test_loss / len(test_loader.dataset):.4f}")


def strokes(count, prototypes):
    """Grey images in [0, 1], most of them nearly black or white."""
    which = torch.randint(len(prototypes), (count,))
    return torch.sigmoid(6 * prototypes[which] + 0.5 * torch.randn(count, 1, 8, 8))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="VAE on strokes")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    prototypes = torch.randn(6, 1, 8, 8)
    train_loader = DataLoader(strokes(400, prototypes), batch_size=args.batch_size, shuffle=True)
    test_loader = DataLoader(strokes(100, prototypes), batch_size=args.batch_size)
    model = VAE()
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    for epoch in range(1, args.epochs + 1):
        train(epoch, model, optimizer, train_loader)
        test(model, test_loader)
    with torch.no_grad():
        sample = model.decode(torch.randn(8, 4)).view(8, 1, 8, 8)
    print(f"white in samples: {(sample > 0.5).float().mean():.3f}")
