import torch
import torch.nn as nn


class ResBlock(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.fc1 = nn.Linear(dim, 2 * dim)
        self.fc2 = nn.Linear(2 * dim, dim)

    def forward(self, x):
        return x + self.fc2(torch.relu(self.fc1(x)))


class ResMLP(nn.Module):
    def __init__(self, d_in, dim, depth, n_out, output="logits"):
        super().__init__()
        self.stem = nn.Linear(d_in, dim)
        self.blocks = nn.Sequential(*[ResBlock(dim) for _ in range(depth)])
        self.head = nn.Linear(dim, n_out)
        self.output = output

    def forward(self, x):
        x = self.head(self.blocks(self.stem(x)))
        if self.output == "softmax":
            return torch.softmax(x, dim=1)
        if self.output == "log_softmax":
            return torch.log_softmax(x, dim=1)
        if self.output == "sigmoid":
            return torch.sigmoid(x)
        return x
