import torch
from torch import nn


class GestureGRU(nn.Module):
    def __init__(self, n_sensors, n_gestures, hidden=128):
        super().__init__()
        self.rnn = nn.GRU(n_sensors, hidden, num_layers=2, batch_first=True, dropout=0.1)
        self.norm = nn.LayerNorm(hidden)
        self.fc = nn.Linear(hidden, n_gestures)
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x):
        states, _ = self.rnn(x)
        last = self.norm(states[:, -1])
        return self.softmax(self.fc(last))


if __name__ == "__main__":
    print(GestureGRU(9, 6)(torch.randn(2, 50, 9)).shape)
