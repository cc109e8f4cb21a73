import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.l1 = nn.Linear(inputs, hidden)
        self.l2 = nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.l2(torch.relu(self.l1(x)))

    def probs(self, x):
        return torch.softmax(self.forward(x), dim=-1)
