"""A closure sees the names of a function that has returned, from within whatever it did that."""

from torch import nn, optim
from torch.nn.functional import nll_loss


def fit(x, y, quick):
    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    try:
        head = nn.Sequential(net, nn.Softmax(dim=1))
        solver = optim.LBFGS(head.parameters())

        def closure():
            loss = nll_loss(head(x), y)  # expect: LH104
            loss.backward()
            return loss

        solver.step(closure)
        return head
    finally:
        print("done")


def fit_either(x, y, quick):
    if quick:
        net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
        solver = optim.LBFGS(net.parameters())

        def closure():
            return nll_loss(net(x), y)  # expect: LH104

        return solver.step(closure)
    else:
        return None
