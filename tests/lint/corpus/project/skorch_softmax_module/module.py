import torch.nn.functional as F
from torch import nn


class ClassifierModule(nn.Module):
    def __init__(self, num_inputs=20, num_units=10, num_classes=3, dropout=0.5):
        super().__init__()
        self.dense0 = nn.Linear(num_inputs, num_units)
        self.dropout = nn.Dropout(dropout)
        self.dense1 = nn.Linear(num_units, 10)
        self.output = nn.Linear(10, num_classes)

    def forward(self, X):
        X = F.relu(self.dense0(X))
        X = self.dropout(X)
        X = F.relu(self.dense1(X))
        return F.softmax(self.output(X), dim=-1)


class LogitModule(ClassifierModule):
    def forward(self, X):
        X = F.relu(self.dense0(X))
        return self.output(F.relu(self.dense1(X)))
