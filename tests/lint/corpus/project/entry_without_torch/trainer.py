import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader


def fit(net, dataset, epochs=5, lr=0.1, batch_size=16):
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True)
    opt = torch.optim.SGD(net.parameters(), lr=lr)
    history = []
    for _ in range(epochs):
        for x, y in loader:
            opt.zero_grad()
            y_hat = net(x)
            loss = F.cross_entropy(y_hat, y)  # expect: LH101
            loss.backward()
            opt.step()
            history.append(float(loss.detach()))
    return history


def accuracy(net, dataset):
    net.eval()
    good = 0
    with torch.no_grad():
        for x, y in DataLoader(dataset, batch_size=64):
            good += (net(x).argmax(dim=-1) == y).sum().item()
    return good / len(dataset)
