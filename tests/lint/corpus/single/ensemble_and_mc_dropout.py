# case: deep ensemble and MC dropout; the log of a mean of softmaxes goes to nll_loss, as it should
import torch
import torch.nn as nn
import torch.nn.functional as F


def make_net():
    return nn.Sequential(
        nn.Linear(2, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3)
    )


def train_member(seed, x, y, epochs=30):
    torch.manual_seed(seed)
    member = make_net()
    opt = torch.optim.Adam(member.parameters(), lr=5e-3)
    for _ in range(epochs):
        opt.zero_grad()
        F.cross_entropy(member(x), y).backward()
        opt.step()
    return member.eval()


def ensemble_predict(members, x):
    with torch.no_grad():
        return torch.stack([F.softmax(m(x), dim=-1) for m in members]).mean(dim=0)


def enable_dropout(model):
    for m in model.modules():
        if m.__class__.__name__.startswith("Dropout"):
            m.train()


def mc_predict(model, x, passes=20):
    enable_dropout(model)
    with torch.no_grad():
        draws = torch.stack([model(x).softmax(-1) for _ in range(passes)])
    mean = draws.mean(0)
    entropy = -(mean * mean.clamp(min=1e-12).log()).sum(-1)
    return mean, entropy


if __name__ == "__main__":
    x = torch.randn(300, 2)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0.7).long()
    members = [train_member(s, x[:200], y[:200]) for s in range(3)]
    p = ensemble_predict(members, x[200:])
    print("ensemble nll", F.nll_loss(p.log(), y[200:]).item())
    single = [F.cross_entropy(m(x[200:]), y[200:]).item() for m in members]
    print("members", single)
    mean, entropy = mc_predict(members[0], x[200:])
    print("mc dropout nll", F.nll_loss(torch.log(mean), y[200:]).item(), "entropy", entropy.mean().item())
