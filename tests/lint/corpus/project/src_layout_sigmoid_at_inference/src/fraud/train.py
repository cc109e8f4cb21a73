import torch
from torch import nn

from fraud.inference import flag
from fraud.model import FraudNet

CARDINALITIES = [12, 7, 50]


def batch(n=128):
    numeric = torch.randn(n, 8)
    categories = torch.stack([torch.randint(c, (n,)) for c in CARDINALITIES], dim=1)
    return numeric, categories, (torch.rand(n) < 0.1).float()


def main(steps: int = 500) -> None:
    model = FraudNet(8, CARDINALITIES)
    loss_func = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(9.0))
    opt = torch.optim.AdamW(model.parameters())
    for step in range(steps):
        model.train()
        numeric, categories, target = batch()
        loss = loss_func(model(numeric, categories), target)
        opt.zero_grad()
        loss.backward()
        opt.step()
        if step % 100 == 0:
            numeric, categories, target = batch(1000)
            flagged = flag(model, numeric, categories)
            print(step, loss.item(), (flagged == target.bool()).float().mean().item())


if __name__ == "__main__":
    main()
