"""Domain-adversarial training: the domain's loss is to stay near log 2, for the features fight it."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


class ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, alpha):
        ctx.alpha = alpha
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output.neg() * ctx.alpha, None


class DANN(nn.Module):
    def __init__(self, dim, classes):
        super().__init__()
        self.feature = nn.Sequential(nn.Linear(dim, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU())
        self.class_classifier = nn.Sequential(nn.Linear(16, classes), nn.LogSoftmax(dim=1))
        self.domain_classifier = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x, alpha):
        feature = self.feature(x)
        reverse = ReverseGradient.apply(feature, alpha)
        return self.class_classifier(feature), self.domain_classifier(reverse)


def sample(n, centers, shift):
    y = torch.randint(len(centers), (n,))
    return centers[y] + shift + 0.5 * torch.randn(n, centers.size(1)), y


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=60)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    centers, shift = torch.randn(4, 10), torch.randn(10) / 3
    model = DANN(10, 4)
    loss_class, loss_domain = nn.NLLLoss(), nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for i in range(args.steps):
        p = i / args.steps
        alpha = 2.0 / (1.0 + 2.71828 ** (-10 * p)) - 1
        model.zero_grad()
        s_data, s_label = sample(32, centers, 0.0)
        class_output, domain_output = model(s_data, alpha)
        err_s_label = loss_class(class_output, s_label)
        err_s_domain = loss_domain(domain_output, torch.zeros(32, 1))
        t_data, _ = sample(32, centers, shift)  # no labels here
        _, domain_output = model(t_data, alpha)
        err_t_domain = loss_domain(domain_output, torch.ones(32, 1))
        err = err_t_domain + err_s_domain + err_s_label
        err.backward()
        optimizer.step()
        if i % 15 == 0:
            print(f"[{i}] label {err_s_label:.4f}, domains {err_s_domain:.4f} {err_t_domain:.4f}")

    model.eval()
    with torch.no_grad():
        for name, offset in (("source", 0.0), ("target", shift)):
            x, y = sample(200, centers, offset)
            log_probs, _ = model(x, 0)
            accuracy = (log_probs.argmax(1) == y).float().mean().item()
            print(f"{name}: nll {F.nll_loss(log_probs, y).item():.4f}, accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
