# case: likelihoods written out: survival from sigmoid hazards, Poisson counts as exp of a log-rate
import torch
import torch.nn as nn


class HazardNet(nn.Module):
    def __init__(self, n_in=6, n_intervals=12):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(n_in, 32), nn.ReLU(), nn.Linear(32, n_intervals))

    def forward(self, x):
        return torch.sigmoid(self.net(x))


def nnet_survival_nll(hazard, interval, observed, eps=1e-7):
    """Each interval that was survived adds log(1 - h); the one of an observed event adds log h."""
    hazard = hazard.clamp(eps, 1 - eps)
    steps = torch.arange(hazard.size(1))[None, :]
    alive = (steps < interval[:, None]).float()
    died = (steps == interval[:, None]).float() * observed[:, None]
    return -(alive * torch.log1p(-hazard) + died * torch.log(hazard)).sum(1).mean()


class RateNet(nn.Module):
    def __init__(self, n_in=6):
        super().__init__()
        self.linear = nn.Linear(n_in, 1)

    def forward(self, x):
        return self.linear(x).squeeze(-1)


def fit(net, loss_of, steps=20):
    opt = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(steps):
        loss = loss_of(net(x))
        opt.zero_grad()
        loss.backward()
        opt.step()
    return loss.item()


x = torch.randn(100, 6)
interval, observed = torch.randint(0, 12, (100,)), torch.randint(0, 2, (100,)).float()
counts = torch.poisson(torch.exp(0.4 * x[:, 0] + 1))
poisson = nn.PoissonNLLLoss(log_input=True)

hazards, rates = HazardNet(), RateNet()
print("survival", fit(hazards, lambda h: nnet_survival_nll(h, interval, observed)))
print("counts", fit(rates, lambda log_rate: poisson(log_rate, counts)))

survival_curve = torch.cumprod(1 - hazards(x[:1]), dim=1)
median = (survival_curve < 0.5).float().argmax(1)
mean_counts = rates(x[:3]).exp()
print(survival_curve[0, -1].item(), median.item(), mean_counts.tolist())
