import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x, scale=None):
        x = self.fc(x)
        if scale is not None:
            return x * scale
        output = x
        return output


model = Net()
criterion = nn.CrossEntropyLoss()


def step(x, target):
    output = model(x)
    loss = criterion(output, target)
    _, guess = output.max(1)
    assert guess.shape == torch.Size([len(target)])
    return loss
