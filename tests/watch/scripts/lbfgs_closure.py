"""Softmax regression by L-BFGS: the optimizer calls the loss as often as it likes within one step."""

import argparse

import torch
from torch import nn


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--l2", type=float, default=1e-3)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    true_weights = 2 * torch.randn(6, 4)
    x = torch.randn(300, 6)
    y = torch.distributions.Categorical(logits=x @ true_weights).sample()
    x_test = torch.randn(200, 6)
    y_test = torch.distributions.Categorical(logits=x_test @ true_weights).sample()

    model = nn.Linear(6, 4)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=1, max_iter=8, line_search_fn="strong_wolfe")
    calls = 0

    def closure():
        nonlocal calls
        calls += 1
        optimizer.zero_grad()
        loss = criterion(model(x), y) + args.l2 * model.weight.pow(2).sum()
        loss.backward()
        return loss

    for i in range(5):
        loss = optimizer.step(closure)
        with torch.no_grad():
            test_loss = criterion(model(x_test), y_test)
        print(f"step {i}: loss {loss.item():.6f}, test {test_loss.item():.6f}, {calls} calls so far")

    with torch.no_grad():
        # classes with and without a shift of the logits are the same
        logits = model(x_test)
        same = torch.allclose(criterion(logits + 100, y_test), criterion(logits, y_test), atol=1e-4)
        error = (model.weight.t() - model.weight.t().mean(1, keepdim=True)) - (
            true_weights - true_weights.mean(1, keepdim=True)
        )
    print(f"shift changes nothing: {same}; weights off by {error.abs().mean().item():.3f}")


if __name__ == "__main__":
    main()
