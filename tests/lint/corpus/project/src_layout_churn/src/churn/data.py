import csv
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset, random_split

COLUMNS = ["tenure", "monthly_charges", "total_charges", "n_calls", "contract_months"]


def read_table(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    rows, labels = [], []
    with open(path, newline="") as f:
        for record in csv.DictReader(f):
            rows.append([float(record[name]) for name in COLUMNS])
            labels.append(1.0 if record["churn"] == "yes" else 0.0)
    x = torch.tensor(rows)
    x = (x - x.mean(0)) / x.std(0)
    return x, torch.tensor(labels)


def loaders(path: Path, batch_size: int = 256) -> tuple[DataLoader, DataLoader]:
    dataset = TensorDataset(*read_table(path))
    n_val = len(dataset) // 5
    train, val = random_split(dataset, [len(dataset) - n_val, n_val])
    return DataLoader(train, batch_size, shuffle=True), DataLoader(val, batch_size)
