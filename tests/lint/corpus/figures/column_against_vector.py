# case: a head of one output, [B, 1], against targets [B]: mse_loss, HuberLoss and BCEWithLogitsLoss
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(7)
N, D = 256, 8
X = torch.randn(N, D)
PRICE = X @ torch.randn(D) + 0.1 * torch.randn(N)
SOLD = torch.randint(0, 2, (N,)).float()


class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(D, 32)
        self.predict = nn.Linear(32, 1)

    def forward(self, x):
        x = F.relu(self.hidden(x))
        return self.predict(x)


def fit_price(epochs=5, batch=32):
    net = Regressor()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(epochs):
        for idx in torch.randperm(N).split(batch):
            prediction = net(X[idx])
            loss = F.mse_loss(prediction, PRICE[idx])  # expect: LH302
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net


def fit_price_loader(epochs=2):
    net = Regressor()
    loss_func = nn.HuberLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-2)
    loader = DataLoader(TensorDataset(X, PRICE), batch_size=32, shuffle=True)
    for _ in range(epochs):
        for b_x, b_y in loader:
            loss = loss_func(net(b_x), b_y)  # expect: LH302
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net


def sold_loss(net):
    criterion = nn.BCEWithLogitsLoss()
    logits = net(X)
    return criterion(logits, SOLD)  # expect: LH302


if __name__ == "__main__":
    fit_price()
    trained = fit_price_loader()
    try:
        sold_loss(trained)
    except ValueError as error:
        print(error)
