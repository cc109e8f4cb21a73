import torch.nn as nn


class CELoss(nn.Module):
    """Cross-entropy with a weight for the whole term."""

    def __init__(self, weight=1.0, ignore_index=-100):
        super().__init__()
        self.weight = weight
        self.ce = nn.CrossEntropyLoss(ignore_index=ignore_index)

    def forward(self, pred, gt):
        return self.weight * self.ce(pred, gt)  # expect: LH101
