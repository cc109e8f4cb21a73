# case: one output against one number per row, the sizes made equal in each of the usual ways
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

x = torch.randn(120, 6)
y = torch.randn(120)


class Net(nn.Module):
    def __init__(self, squeeze=False):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
        self.squeeze = squeeze

    def forward(self, inp):
        out = self.layers(inp)
        return out.squeeze(-1) if self.squeeze else out


def variants():
    net, mse = Net(), nn.MSELoss()
    yield mse(net(x).squeeze(-1), y)
    yield mse(net(x).view(-1), y)
    yield mse(net(x)[:, 0], y)
    yield mse(net(x), y.unsqueeze(1))
    yield mse(net(x), y[:, None])
    yield mse(net(x), y.view(-1, 1))
    yield F.l1_loss(net(x).flatten(), y)
    yield F.mse_loss(Net(squeeze=True)(x), y)
    yield F.binary_cross_entropy_with_logits(net(x).squeeze(), (y > 0).float())


def column_dataset():
    loader = DataLoader(TensorDataset(x, y.reshape(-1, 1)), batch_size=40)
    net = Net()
    return sum(F.mse_loss(net(a), b, reduction="sum") for a, b in loader) / len(x)


def many_outputs():
    head = nn.Linear(6, 3)
    return F.mse_loss(head(x), torch.randn(120, 3))


def linear_baseline():
    # [120, 6] @ [6]: a vector already
    w = torch.zeros(6, requires_grad=True)
    return F.mse_loss(x @ w, y)


if __name__ == "__main__":
    print([round(v.item(), 3) for v in variants()])
    print(column_dataset().item(), many_outputs().item(), linear_baseline().item())
