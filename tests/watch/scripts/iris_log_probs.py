"""The same flowers: the network ends in LogSoftmax and is trained with NLLLoss in mini-batches."""

import argparse

import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset


def flowers(per_species):
    means = torch.tensor([[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.6, 2.0]])
    stds = torch.tensor([[0.35, 0.38, 0.17, 0.10], [0.52, 0.31, 0.47, 0.20], [0.64, 0.32, 0.55, 0.27]])
    species = torch.arange(3).repeat(per_species)
    measures = means[species] + stds[species] * torch.randn(len(species), 4)
    return (measures - measures.mean(0)) / measures.std(0), species


def get_model(lr):
    model = nn.Sequential(nn.Linear(4, 20), nn.ReLU(), nn.Linear(20, 3), nn.LogSoftmax(dim=1))
    return model, optim.SGD(model.parameters(), lr=lr, momentum=0.9)


def loss_batch(model, loss_func, xb, yb, opt=None):
    loss = loss_func(model(xb), yb)
    if opt is not None:
        loss.backward()
        opt.step()
        opt.zero_grad()
    return loss.item(), len(xb)


def fit(epochs, model, loss_func, opt, train_dl, valid_dl):
    for epoch in range(epochs):
        model.train()
        for xb, yb in train_dl:
            loss_batch(model, loss_func, xb, yb, opt)

        model.eval()
        with torch.no_grad():
            losses, nums = zip(*[loss_batch(model, loss_func, xb, yb) for xb, yb in valid_dl])
        val_loss = sum(loss * num for loss, num in zip(losses, nums)) / sum(nums)
        print(epoch, val_loss)


def confusion(model, x, y):
    with torch.no_grad():
        probabilities = torch.exp(model(x))  # of log-probabilities
    confidence, predicted = probabilities.max(dim=1)
    table = torch.zeros(3, 3, dtype=torch.long)
    for true, guess in zip(y.tolist(), predicted.tolist()):
        table[true, guess] += 1
    return table, confidence.mean().item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=7)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    x, y = flowers(60)
    train_dl = DataLoader(TensorDataset(x[:130], y[:130]), batch_size=16, shuffle=True)
    valid_dl = DataLoader(TensorDataset(x[130:], y[130:]), batch_size=32)
    model, opt = get_model(lr=0.1)
    fit(args.epochs, model, nn.NLLLoss(), opt, train_dl, valid_dl)
    table, confidence = confusion(model, x[130:], y[130:])
    print(table.tolist(), f"mean confidence {confidence:.3f}")


if __name__ == "__main__":
    main()
