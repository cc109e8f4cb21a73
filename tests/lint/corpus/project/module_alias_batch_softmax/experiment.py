import argparse

import project.module as m
import project.wine as wine
import torch
import torch.nn.functional as F


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("csv")
    parser.add_argument("--steps", type=int, default=500)
    args = parser.parse_args()

    x, y = wine.load(args.csv)
    order = torch.randperm(len(x))
    train, test = order[:130], order[130:]
    net = m.Net(x.shape[1], 3)
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(args.steps):
        sgd.zero_grad()
        out = net(x[train])
        loss = F.nll_loss(out, y[train])  # allow: LH112
        loss.backward()
        sgd.step()
    with torch.no_grad():
        wrong = (net(x[test]).argmax(1) != y[test]).sum().item()
    print(f"{wrong} of {len(test)} wrong")


if __name__ == "__main__":
    main()
