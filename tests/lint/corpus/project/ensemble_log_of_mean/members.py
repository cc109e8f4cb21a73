import torch
from torch import nn


class Member(nn.Module):
    def __init__(self, n_in, n_out, hidden=50):
        super().__init__()
        self.seq = nn.Sequential(nn.Linear(n_in, hidden), nn.ReLU(), nn.Linear(hidden, n_out))

    def forward(self, x):
        return self.seq(x)

    def probabilities(self, x):
        return torch.softmax(self(x), dim=1)
