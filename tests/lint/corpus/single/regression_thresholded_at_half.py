# case: a linear output trained with MSE on 0/1 targets and cut at 0.5, which is right there
import torch
import torch.nn as nn

torch.manual_seed(3)
N = 400


class Perceptron(nn.Module):
    def __init__(self, n_in):
        super(Perceptron, self).__init__()
        self.hidden = nn.Linear(n_in, 24)
        self.output = nn.Linear(24, 1)

    def forward(self, x):
        x = torch.tanh(self.hidden(x))
        return self.output(x)[:, 0]


X = torch.rand(N, 2)
y = ((X[:, 0] > 0.5) ^ (X[:, 1] > 0.5)).float()
net = Perceptron(2)
mse = nn.MSELoss()
opt = torch.optim.LBFGS(net.parameters(), lr=0.5, max_iter=40)


def closure():
    opt.zero_grad()
    err = mse(net(X), y)
    err.backward()
    return err


for _ in range(5):
    err = opt.step(closure)

with torch.no_grad():
    score = net(X)
    label = (score > 0.5).float()
    print("mse", err.item(), "accuracy", (label == y).float().mean().item())
    for row, s in zip(X[:4], score[:4]):
        print(row.tolist(), "->", 1 if s.item() >= 0.5 else 0)
