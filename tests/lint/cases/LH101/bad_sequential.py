import torch.nn as nn

model = nn.Sequential(
    nn.Linear(3, 8),
    nn.ReLU(),
    nn.Linear(8, 3),  # one per class
    nn.Softmax(dim=-1),  # probabilities
)
loss_fn = nn.CrossEntropyLoss(reduction="mean")


def step(x, target):
    logits = model(x)
    return loss_fn(logits, target)  # expect: LH101
