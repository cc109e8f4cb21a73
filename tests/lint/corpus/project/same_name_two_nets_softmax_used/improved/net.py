import torch.nn as nn


class Net(nn.Module):
    def __init__(self, n_in=30, n_out=4):
        super().__init__()
        self.fc1 = nn.Linear(n_in, 128)
        self.norm = nn.BatchNorm1d(128)
        self.fc2 = nn.Linear(128, n_out)
        self.out = nn.Softmax(dim=1)

    def forward(self, x):
        x = nn.functional.gelu(self.norm(self.fc1(x)))
        return self.out(self.fc2(x))
