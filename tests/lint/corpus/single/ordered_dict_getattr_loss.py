# case: OrderedDict MLP with a "prob" layer, the loss class fetched by name from nn with getattr
import json
from collections import OrderedDict

import torch
from torch import nn

CONFIG = json.loads('{"loss": "CrossEntropyLoss", "optimizer": "RMSprop", "lr": 0.001, "hidden": [64, 32]}')


def build(n_in, hidden, n_out):
    layers = OrderedDict()
    width = n_in
    for i, h in enumerate(hidden):
        layers["fc%d" % i] = nn.Linear(width, h)
        layers["relu%d" % i] = nn.ReLU(inplace=True)
        width = h
    layers["score"] = nn.Linear(width, n_out)
    layers["prob"] = nn.Softmax(dim=-1)
    return nn.Sequential(layers)


def main():
    net = build(20, CONFIG["hidden"], 4)
    optimizer = getattr(torch.optim, CONFIG["optimizer"])(net.parameters(), lr=CONFIG["lr"])
    loss_fn = getattr(nn, "CrossEntropyLoss")()

    for step in range(50):
        xb, yb = torch.randn(32, 20), torch.randint(4, (32,))
        loss = loss_fn(net(xb), yb)  # expect: LH101
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if not step % 10:
            print(step, float(loss))


main()
