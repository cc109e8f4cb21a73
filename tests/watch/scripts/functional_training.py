"""Training without an optimizer: functional_call, grad_and_value, gradients per example by vmap."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call, grad_and_value, vmap


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=0.2)
    parser.add_argument("--max-norm", type=float, default=1.0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    centers = torch.randn(4, 8)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    params = {name: p.detach() for name, p in model.named_parameters()}

    def compute_loss(params, x, y):
        logits = functional_call(model, params, (x,))
        return F.cross_entropy(logits, y)

    def compute_loss_of_one(params, x, y):
        return compute_loss(params, x.unsqueeze(0), y.unsqueeze(0))

    per_example = vmap(grad_and_value(compute_loss_of_one), in_dims=(None, 0, 0))

    def batch(n):
        y = torch.randint(4, (n,))
        return centers[y] + 0.5 * torch.randn(n, 8), y

    for step in range(40):
        x, y = batch(32)
        if step < 20:
            grads, loss = grad_and_value(compute_loss)(params, x, y)
        else:  # each example's gradient is clipped before the mean, as differential privacy asks for
            grads, losses = per_example(params, x, y)
            loss = losses.mean()
            norms = torch.stack([g.flatten(1).norm(dim=1) for g in grads.values()]).norm(dim=0)
            scale = (args.max_norm / (norms + 1e-6)).clamp(max=1.0)
            grads = {n: torch.einsum("b,b...->...", scale, g) / len(x) for n, g in grads.items()}
        params = {name: p - args.lr * grads[name] for name, p in params.items()}
        if step % 10 == 0:
            print(f"step {step}: loss {loss.item():.4f}")

    x, y = batch(200)
    logits = functional_call(model, params, (x,))
    accuracy = (logits.argmax(1) == y).float().mean()
    print(f"loss {F.cross_entropy(logits, y).item():.4f}, accuracy {accuracy.item():.3f}")


if __name__ == "__main__":
    main()
