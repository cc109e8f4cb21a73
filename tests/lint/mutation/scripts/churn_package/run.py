"""Train on made-up subscribers."""

import torch
from churn import SubscriberModel, evaluate, train


def main():
    torch.manual_seed(0)
    x = torch.randn(50, 11)
    y = (x @ torch.linspace(-1, 1, 11) > 1.0).float()
    model = train(SubscriberModel(11), x, y)
    loss, accuracy = evaluate(model, x, y)
    print(f"loss {loss:.6f} accuracy {accuracy:.4f}")


if __name__ == "__main__":
    main()
