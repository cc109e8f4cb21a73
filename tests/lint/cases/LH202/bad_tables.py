"""Labels of tables as floats, and then into cross-entropy."""

import pandas as pd
import torch
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelEncoder
from torch import nn


def iris():
    data = load_iris()
    x, _, y, _ = train_test_split(data.data, data.target, test_size=0.2)
    net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    loss = nn.CrossEntropyLoss()(net(torch.FloatTensor(x)), torch.FloatTensor(y))  # expect: LH202
    return loss


def species():
    table = pd.read_csv("penguins.csv").dropna()
    y = torch.tensor(LabelEncoder().fit_transform(table["species"]), dtype=torch.float32)
    x = torch.tensor(table[["bill", "flipper"]].values, dtype=torch.float32)
    loss = nn.CrossEntropyLoss()(nn.Linear(2, 3)(x), y)  # expect: LH202
    return loss


def species_right():
    table = pd.read_csv("penguins.csv").dropna()
    y = torch.tensor(LabelEncoder().fit_transform(table["species"]))
    x = torch.tensor(table[["bill", "flipper"]].values, dtype=torch.float32)
    loss = nn.CrossEntropyLoss()(nn.Linear(2, 3)(x), y)
    return loss
