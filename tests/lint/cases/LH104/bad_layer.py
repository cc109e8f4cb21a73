from collections import OrderedDict

import torch.nn as nn

model = nn.Sequential(
    OrderedDict(
        [
            ("body", nn.Sequential(nn.Linear(3, 8), nn.Tanh())),
            ("head", nn.Linear(8, 3)),
            ("out", nn.Softmax(dim=1)),
        ]
    )
)


def step(x, target, criterion=None):
    criterion = nn.NLLLoss()
    return criterion(model(x), target)  # expect: LH104
