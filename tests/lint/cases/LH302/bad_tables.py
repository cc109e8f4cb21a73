"""Columns of tables as targets: pandas, scikit-learn and numpy."""

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import fetch_california_housing, make_moons, make_regression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset


def net(n_in):
    return nn.Sequential(nn.Linear(n_in, 32), nn.ReLU(), nn.Linear(32, 1))


def houses():
    table = pd.read_csv("houses.csv").dropna()
    x = torch.tensor(table.drop(columns=["price"]).values, dtype=torch.float32)
    y = torch.tensor(table["price"].values, dtype=torch.float32)
    model = net(8)
    return nn.MSELoss()(model(x), y)  # expect: LH302


def houses_by_position():
    table = pd.read_csv("houses.csv")
    x, y = table.iloc[:, :-1].values, table.iloc[:, -1].values
    x_train, _, y_train, _ = train_test_split(x, y, test_size=0.2)
    scaler = StandardScaler()
    x_train = torch.from_numpy(scaler.fit_transform(x_train)).float()
    y_train = torch.from_numpy(y_train).float()
    model, criterion = net(8), nn.L1Loss()
    for a, b in DataLoader(TensorDataset(x_train, y_train), batch_size=32):
        criterion(model(a), b).backward()  # expect: LH302


def california():
    data = fetch_california_housing()
    x, y = torch.tensor(data.data, dtype=torch.float32), torch.tensor(data.target, dtype=torch.float32)
    return nn.SmoothL1Loss()(net(8)(x), y)  # expect: LH302


def regression():
    x, y = make_regression(n_samples=200, n_features=3)
    loss = nn.MSELoss()(net(3)(torch.Tensor(x)), torch.Tensor(y))  # expect: LH302
    return loss


def moons():
    x, y = make_moons(200, noise=0.1)
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    return nn.BCEWithLogitsLoss()(net(2)(x), y)  # expect: LH302


def waves():
    x = np.linspace(0, 6, 300)
    y = np.sin(x) + 0.1 * np.random.randn(300)
    x, y = torch.from_numpy(x).float().unsqueeze(1), torch.from_numpy(y).float()
    return nn.MSELoss()(net(1)(x), y)  # expect: LH302


class Houses(Dataset):
    def __init__(self, path):
        table = pd.read_csv(path)
        self.x = torch.tensor(table[["rooms", "area"]].values, dtype=torch.float32)
        self.y = torch.tensor(table["price"].to_numpy(), dtype=torch.float32)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


def of_a_data_set(path):
    model, criterion = net(2), nn.MSELoss()
    for x, y in DataLoader(Houses(path), batch_size=16):
        loss = criterion(model(x), y)  # expect: LH302
        loss.backward()
