# case: layers appended in a loop, a Softmax last; a nested closure for LBFGS feeds nll_loss
from torch import nn, optim, randint, randn
from torch.nn.functional import nll_loss


def make_mlp(sizes, final=None):
    layers = []
    for i in range(len(sizes) - 1):
        layers.append(nn.Linear(sizes[i], sizes[i + 1]))
        if i < len(sizes) - 2:
            layers.append(nn.Tanh())
    if final is not None:
        layers.append(final)
    return nn.Sequential(*layers)


def fit(x, y, max_iter=10):
    mlp = make_mlp([x.shape[1], 16, int(y.max()) + 1], final=nn.Softmax(dim=1))
    solver = optim.LBFGS(mlp.parameters(), lr=0.1, max_iter=max_iter, history_size=5)
    trace = []

    def closure():
        solver.zero_grad()
        loss = nll_loss(mlp(x), y)  # expect: LH104
        loss.backward()
        trace.append(loss.item())
        return loss

    solver.step(closure)
    return mlp, trace


if __name__ == "__main__":
    X, Y = randn(150, 5), randint(0, 4, (150,))
    fitted, trace = fit(X, Y)
    assert len(trace) > 0
    print("first %.3f last %.3f" % (trace[0], trace[-1]))
    print("accuracy", (fitted(X).argmax(dim=1) == Y).float().mean().item())
