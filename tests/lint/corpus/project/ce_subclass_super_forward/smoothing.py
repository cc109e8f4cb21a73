import torch
from torch import nn


class ScheduledCrossEntropy(nn.CrossEntropyLoss):
    """Cross-entropy whose label smoothing decays over the epochs."""

    def __init__(self, start=0.2, decay=0.9):
        super().__init__(label_smoothing=start)
        self.decay = decay

    def step(self):
        self.label_smoothing *= self.decay

    def forward(self, input, target):
        target = target.view(-1)
        return super().forward(input, target)  # expect: LH101


class SmoothL1Sum(nn.SmoothL1Loss):
    def __init__(self):
        super().__init__(reduction="sum")

    def forward(self, input, target):
        return super().forward(torch.nan_to_num(input), target)
