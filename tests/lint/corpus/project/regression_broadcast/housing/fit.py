import torch
import torch.nn.functional as F

from . import data
from .model import PriceNet


def fit(steps=1000, batch=64):
    features, price = data.make_split()
    net = PriceNet(data.N_FEATURES)
    optimizer = torch.optim.Adam(net.parameters())
    for step in range(steps):
        rows = torch.randint(len(features), (batch,))
        predicted = net(features[rows])
        loss = F.mse_loss(predicted, price[rows])  # expect: LH302
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(step, loss.item())
    return net


if __name__ == "__main__":
    fit()
