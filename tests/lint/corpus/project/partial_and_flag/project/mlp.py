import torch
import torch.nn as nn


class SurnameClassifier(nn.Module):
    """A two-layer perceptron over one-hot characters."""

    def __init__(self, input_dim, hidden_dim, output_dim, apply_softmax=False):
        super().__init__()
        self.fc1 = nn.Linear(input_dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, output_dim)
        self.apply_softmax = apply_softmax

    def forward(self, x_in):
        hidden = torch.relu(self.fc1(x_in))
        prediction = self.fc2(hidden)
        if self.apply_softmax:
            prediction = torch.softmax(prediction, dim=1)
        return prediction
