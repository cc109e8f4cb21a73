from torch import nn


class GestureGRU(nn.Module):
    def __init__(self, n_sensors, n_gestures, hidden=128):
        super().__init__()
        self.rnn = nn.GRU(n_sensors, hidden, batch_first=True)
        self.fc = nn.Linear(hidden, n_gestures)
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x):
        states, _ = self.rnn(x)
        return self.fc(states[:, -1])

    def confidence(self, x):
        return self.softmax(self.forward(x)).amax(dim=1)
