from torch import nn

net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 3), nn.Sigmoid())
bce = nn.BCELoss()


def step(x, target):
    out = net(x)
    loss = bce(out, target)  # expect: LH109
    return loss
