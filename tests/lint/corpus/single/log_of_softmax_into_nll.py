# case: numpy-minded script; softmax by the framework, log by hand, NLLLoss: fragile but the right loss
import numpy as np
import torch
from torch import nn

np.random.seed(0)
torch.manual_seed(0)


def spiral(n, k):
    X = np.zeros((n * k, 2), dtype="float32")
    Y = np.zeros(n * k, dtype="int64")
    for j in range(k):
        ix = range(n * j, n * (j + 1))
        r = np.linspace(0.0, 1, n)
        t = np.linspace(j * 4, (j + 1) * 4, n) + np.random.randn(n) * 0.2
        X[ix] = np.c_[r * np.sin(t), r * np.cos(t)]
        Y[ix] = j
    return torch.from_numpy(X), torch.from_numpy(Y)


class Net(nn.Module):
    def __init__(self, D, H, K):
        super(Net, self).__init__()
        self.l1 = nn.Linear(D, H)
        self.l2 = nn.Linear(H, K)
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x):
        h = torch.relu(self.l1(x))
        return self.softmax(self.l2(h))


X, Y = spiral(100, 3)
net = Net(2, 100, 3)
criterion = nn.NLLLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=1e-0, weight_decay=1e-3)
for it in range(300):
    probs = net(X)
    logprobs = torch.log(probs)  # expect: LH110
    loss = criterion(logprobs, Y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if it % 100 == 0:
        print("iteration %d: loss %f" % (it, loss.item()))

print("training accuracy: %.2f" % np.mean((net(X).argmax(1) == Y).numpy()))
