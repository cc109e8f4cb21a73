"""Training and testing of any module with one logit."""

import torch
from torch import nn

criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0]))


def train(model, x, y, epochs=5, lr=1e-2):
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(16):
            logits = model(x[rows]).squeeze(1)
            loss = criterion(logits, y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


@torch.no_grad()
def evaluate(model, x, y):
    model.eval()
    logits = model(x)
    leaves = torch.sigmoid(logits) > 0.5
    accuracy = (leaves.squeeze(1) == y.bool()).float().mean()
    return criterion(logits.squeeze(1), y).item(), accuracy.item()
