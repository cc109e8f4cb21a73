"""Flowers by a small MLP: logits and cross_entropy, full batches, and a sigmoid between the layers."""

import argparse

import torch
import torch.nn as nn

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
torch.manual_seed(args.seed)

# sepal length, sepal width, petal length, petal width (cm), by species
means = torch.tensor([[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.6, 2.0]])
stds = torch.tensor([[0.35, 0.38, 0.17, 0.10], [0.52, 0.31, 0.47, 0.20], [0.64, 0.32, 0.55, 0.27]])
species = torch.arange(3).repeat_interleave(50)
measures = means[species] + stds[species] * torch.randn(150, 4)

order = torch.randperm(150)
X_train, X_test = measures[order[:120]], measures[order[120:]]
y_train, y_test = species[order[:120]], species[order[120:]]
mean, std = X_train.mean(dim=0), X_train.std(dim=0)
X_train, X_test = (X_train - mean) / std, (X_test - mean) / std


class Model(nn.Module):
    def __init__(self, in_features=4, h1=16, out_features=3):
        super().__init__()
        self.fc1 = nn.Linear(in_features, h1)
        self.out = nn.Linear(h1, out_features)

    def forward(self, x):
        x = torch.sigmoid(self.fc1(x))
        return self.out(x)


model = Model()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)

losses = []
for i in range(60):
    y_pred = model(X_train)
    loss = criterion(y_pred, y_train)
    losses.append(loss.item())
    if i % 10 == 0:
        print(f"epoch: {i:2}  loss: {loss.item():10.8f}")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

with torch.no_grad():
    y_val = model(X_test)
    print(f"test loss {criterion(y_val, y_test).item():.6f}")

correct = 0
with torch.no_grad():
    for data, label in zip(X_test, y_test):
        if model(data).argmax().item() == label.item():
            correct += 1
print(f"accuracy {correct / len(y_test):.3f}")
