import torch.nn as nn


class Objective(nn.Module):
    def __init__(self, l2=1e-4):
        super().__init__()
        self.l2 = l2
        self.xent = nn.CrossEntropyLoss()

    def forward(self, out, labels):
        xent = self.xent(out["probs"], labels)  # expect: LH101
        reg = self.l2 * out["features"].pow(2).sum(1).mean()
        return {"total": xent + reg, "xent": xent.detach(), "reg": reg.detach()}
