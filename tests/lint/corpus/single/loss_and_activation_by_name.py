# case: a table maps each loss name to the activation it wants, so whatever the command line says fits
import argparse

import torch
import torch.nn as nn

# name -> (loss, activation of the last layer)
OBJECTIVES = {
    "cross_entropy": (nn.CrossEntropyLoss, nn.Identity),
    "nll": (nn.NLLLoss, lambda: nn.LogSoftmax(dim=1)),
    "margin": (nn.MultiMarginLoss, nn.Identity),
}


class Net(nn.Module):
    def __init__(self, last):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(9, 18), nn.Hardswish(), nn.Linear(18, 4))
        self.last = last

    def forward(self, x):
        return self.last(self.body(x))


def build(name):
    if name not in OBJECTIVES:
        raise SystemExit("unknown loss: " + name)
    loss_cls, act = OBJECTIVES[name]
    return Net(act()), loss_cls()


def probabilities(net, name, x):
    out = net(x)
    if name == "nll":
        return out.exp()
    elif name == "cross_entropy":
        return out.softmax(dim=1)
    raise ValueError("a margin has no probabilities")


def run(name, steps):
    net, criterion = build(name)
    opt = torch.optim.Adagrad(net.parameters(), lr=0.05)
    for _ in range(steps):
        x, y = torch.randn(32, 9), torch.randint(0, 4, (32,))
        loss = criterion(net(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
    return net, loss.item()


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--loss", default="cross_entropy")
    ap.add_argument("--steps", type=int, default=10)
    ns = ap.parse_args()
    net, value = run(ns.loss, ns.steps)
    print(ns.loss, value, probabilities(net, ns.loss, torch.randn(1, 9)).tolist())
