import torch
from torch import nn


class ScaledCrossEntropy(nn.NLLLoss):
    """Cross-entropy of logits at a learned temperature."""

    def __init__(self, init=1.0):
        super().__init__()
        self.log_t = nn.Parameter(torch.tensor(float(init)).log())

    def forward(self, input, target):
        scaled = input / self.log_t.exp()
        return super().forward(torch.log_softmax(scaled, dim=1), target.view(-1))
