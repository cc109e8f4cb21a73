# case: "self.out" and "self.act" mean a sigmoid in the decoder and a plain linear layer in the critic
import torch
import torch.nn as nn


class Decoder(nn.Module):
    def __init__(self, z_dim=8):
        super().__init__()
        self.fc = nn.Linear(z_dim, 64)
        self.act = nn.ReLU()
        self.out = nn.Sequential(nn.Linear(64, 16 * 16), nn.Sigmoid())

    def forward(self, z):
        return self.out(self.act(self.fc(z))).view(-1, 1, 16, 16)


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16 * 16, 64)
        self.act = nn.LeakyReLU(0.2)
        self.out = nn.Linear(64, 1)

    def forward(self, x):
        return self.out(self.act(self.fc(x.flatten(1)))).squeeze(1)


class Tagger(nn.Module):
    def __init__(self, n=5):
        super().__init__()
        self.fc = nn.Linear(16 * 16, n)
        self.act = nn.Softmax(dim=1)
        self.out = nn.Identity()

    def forward(self, x):
        return self.out(self.fc(x.flatten(1)))

    def posterior(self, x):
        return self.act(self(x))


dec, critic, tagger = Decoder(), Critic(), Tagger()
adv = nn.BCEWithLogitsLoss()
cls = nn.CrossEntropyLoss()
opt_d = torch.optim.Adam([*critic.parameters(), *tagger.parameters()], lr=1e-3)
opt_g = torch.optim.Adam(dec.parameters(), lr=1e-3)

for _ in range(5):
    real, label = torch.rand(12, 1, 16, 16), torch.randint(0, 5, (12,))
    fake = dec(torch.randn(12, 8))
    d_loss = adv(critic(real), torch.ones(12)) + adv(critic(fake.detach()), torch.zeros(12))
    d_loss = d_loss + cls(tagger(real), label)
    opt_d.zero_grad()
    d_loss.backward()
    opt_d.step()
    g_loss = adv(critic(fake), torch.ones(12))
    opt_g.zero_grad()
    g_loss.backward()
    opt_g.step()
print(d_loss.item(), g_loss.item(), tagger.posterior(real).max().item())
