# case: max used as it should be: its indices for classes, its values for confidence, masks and pooling
import torch
from torch import nn


def evaluate(model, loader):
    correct = total = sure = 0
    for x, y in loader:
        with torch.no_grad():
            out = model(x)
        _, predicted = torch.max(out, 1)
        correct += (predicted == y).sum().item()
        total += y.size(0)
        confidence, label = out.softmax(dim=1).max(dim=1)
        sure += ((confidence > 0.9) & (label == y)).sum().item()
    return correct / total, sure / total


def accuracy_old_style(output, target):
    pred = output.data.max(1, keepdim=True)[1]
    return pred.eq(target.data.view_as(pred)).float().mean()


def accuracy_named(output, target):
    best = output.max(dim=-1)
    return (best.indices == target).float().mean()


def winner_mask(scores):
    # which entries are the largest of their row: here the values are what is compared
    top = scores.max(dim=1, keepdim=True)[0]
    return scores == top


def token_accuracy(logits, target, pad=0):
    pred = logits.max(-1)[1]
    keep = target != pad
    return (pred[keep] == target[keep]).float().mean()


def is_full_score(points, maximum):
    values, _ = points.max(dim=1)
    return values == maximum


class MaxOut(nn.Module):
    def __init__(self, d_in, d_out, k=3):
        super().__init__()
        self.lin = nn.Linear(d_in, d_out * k)
        self.k = k

    def forward(self, x):
        h = self.lin(x).view(x.size(0), -1, self.k)
        return h.max(dim=-1)[0]


if __name__ == "__main__":
    net = nn.Sequential(MaxOut(6, 12), nn.Linear(12, 4))
    batches = [(torch.randn(5, 6), torch.randint(4, (5,))) for _ in range(3)]
    print(evaluate(net, batches))
    z, y = net(batches[0][0]), batches[0][1]
    print(accuracy_old_style(z, y), accuracy_named(z, y), winner_mask(z).sum())
    print(token_accuracy(torch.randn(2, 3, 4), torch.tensor([[1, 2, 0], [3, 0, 0]])))
    print(is_full_score(torch.tensor([[3, 10], [4, 5]]), torch.tensor([10, 10])))
