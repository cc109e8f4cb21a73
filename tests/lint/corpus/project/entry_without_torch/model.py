import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.l1 = nn.Linear(inputs, hidden)
        self.l2 = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = torch.relu(self.l1(x))
        logits = self.l2(h)
        probs = torch.softmax(logits, dim=-1)
        return probs
