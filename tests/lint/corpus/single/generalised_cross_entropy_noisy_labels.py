# case: noisy labels; nll_loss(p, reduction="none") only picks p_y, for generalised CE and MAE
import torch
import torch.nn as nn
import torch.nn.functional as F


class GCELoss(nn.Module):
    """(1 - p_y^q) / q: between cross-entropy (q -> 0) and the mean absolute error (q = 1)."""

    def __init__(self, q=0.7):
        super().__init__()
        self.q = q

    def forward(self, logits, labels):
        p = F.softmax(logits, dim=1)
        p_y = -F.nll_loss(p, labels, reduction="none")
        p_y = p_y.clamp(min=1e-7)
        return ((1.0 - p_y**self.q) / self.q).mean()


def mae_loss(logits, labels):
    pred = torch.softmax(logits, 1)
    picked = -1 * F.nll_loss(pred, labels, reduction="none")
    return (2 * (1 - picked)).mean()


def add_symmetric_noise(labels, rate, n_class):
    flip = torch.rand(labels.shape) < rate
    return torch.where(flip, torch.randint_like(labels, n_class), labels)


def train(loss_function, n_class=4, rounds=50):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, n_class))
    opt = torch.optim.Adam(net.parameters(), lr=0.01)
    centres = torch.tensor([[0.0, 2.0], [2.0, 0.0], [0.0, -2.0], [-2.0, 0.0]])
    for _ in range(rounds):
        clean = torch.randint(0, n_class, (64,))
        x = centres[clean] + 0.6 * torch.randn(64, 2)
        loss = loss_function(net(x), add_symmetric_noise(clean, 0.4, n_class))
        opt.zero_grad()
        loss.backward()
        opt.step()
    return (net(x).argmax(1) == clean).float().mean().item()


if __name__ == "__main__":
    for name, fn in {"gce": GCELoss(), "mae": mae_loss, "ce": F.cross_entropy}.items():
        print(name, train(fn))
