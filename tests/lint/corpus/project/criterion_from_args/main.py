import argparse

import torch
from losses import build_criterion
from models import ResMLP

OUTPUT_FOR = {"ce": "logits", "nll": "log_softmax", "bce": "sigmoid", "bce_logits": "logits"}


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("--loss", choices=list(OUTPUT_FOR), required=True)
    p.add_argument("--smoothing", type=float, default=0.0)
    p.add_argument("--depth", type=int, default=4)
    p.add_argument("--steps", type=int, default=1000)
    return p.parse_args()


def main():
    args = parse()
    model = ResMLP(32, 64, args.depth, 10, output=OUTPUT_FOR[args.loss])
    criterion = build_criterion(args)
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(args.steps):
        x = torch.randn(64, 32)
        y = torch.rand(64, 10).round() if args.loss.startswith("bce") else torch.randint(10, (64,))
        loss = criterion(model(x), y)  # allow: LH109
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(step, loss.item())


if __name__ == "__main__":
    main()
