"""The means of the batches are added to a list as a list of one."""

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


def evaluate(model):
    data = TensorDataset(torch.randn(50, 8), torch.randint(4, (50,)))
    losses = []
    for x, y in DataLoader(data, batch_size=16):
        losses += [F.cross_entropy(model(x), y).item()]
    return torch.tensor(losses).mean().item()  # expect: LH501
