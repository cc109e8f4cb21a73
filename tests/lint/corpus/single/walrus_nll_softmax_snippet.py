# case: forum snippet, only torch imported; a walrus inside the call, NLL of a softmax
import torch

net = torch.nn.Sequential(torch.nn.Linear(6, 24), torch.nn.Tanh(), torch.nn.Linear(24, 5))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
crit = torch.nn.NLLLoss()


def activation(x, kind):
    if kind == "softmax":
        return torch.softmax(x, dim=1)
    if kind == "sigmoid":
        return torch.sigmoid(x)
    return x


for i in range(30):
    x, y = torch.randn(10, 6), torch.randint(5, (10,))
    loss = crit((p := activation(net(x), "softmax")), y)  # expect: LH104
    opt.zero_grad(), loss.backward(), opt.step()
    if i % 10 == 0:
        print(i, loss.item(), "why is my loss negative?", [round(v, 2) for v in p[0].tolist()])

# the plain version of the same question
loss2 = torch.nn.functional.nll_loss(torch.nn.functional.softmax(net(x), 1), y)  # expect: LH104
print(loss2)
