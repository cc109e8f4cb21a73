"""Functions with their own backward: a binarised activation (straight-through), a cross-entropy."""

import argparse

import torch
from torch import nn


class BinaryActivation(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return grad_output * (x.abs() < 1).to(x.dtype)


class SoftmaxCrossEntropy(torch.autograd.Function):
    """The gradient is the softmax minus the one-hot target, so the softmax is what is kept."""

    @staticmethod
    def forward(ctx, logits, target):
        shifted = logits - logits.amax(dim=1, keepdim=True)
        exp = shifted.exp()
        normalizer = exp.sum(dim=1, keepdim=True)
        ctx.save_for_backward(exp / normalizer, target)
        picked = shifted.gather(1, target.unsqueeze(1))
        return (normalizer.log() - picked).mean()

    @staticmethod
    def backward(ctx, grad_output):
        probs, target = ctx.saved_tensors
        grad = probs.clone()
        grad[torch.arange(len(target)), target] -= 1
        return grad_output * grad / len(target), None


class BinaryNet(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.first, self.norm = nn.Linear(features, 64), nn.BatchNorm1d(64)
        self.last = nn.Linear(64, classes)

    def forward(self, x):
        return self.last(BinaryActivation.apply(self.norm(self.first(x))))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    centers = torch.randn(5, 12)
    net = BinaryNet(12, 5)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for step in range(50):
        target = torch.randint(5, (64,))
        logits = net(centers[target] + 0.6 * torch.randn(64, 12))
        loss = SoftmaxCrossEntropy.apply(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            difference = (loss - nn.functional.cross_entropy(logits, target)).abs().item()
            print(f"step {step}: loss {loss.item():.4f}, off torch's by {difference:.0e}")

    net.eval()
    with torch.no_grad():
        target = torch.randint(5, (200,))
        logits = net(centers[target] + 0.6 * torch.randn(200, 12))
        print(f"test accuracy {(logits.argmax(1) == target).float().mean().item():.3f}")


if __name__ == "__main__":
    main()
