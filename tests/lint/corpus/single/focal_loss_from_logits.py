# case: RetinaNet-style focal loss; the sigmoid modulates only, BCE-with-logits sees the logits
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


def sigmoid_focal_loss(inputs, targets, alpha: float = 0.25, gamma: float = 2, reduction: str = "none"):
    p = torch.sigmoid(inputs)
    ce_loss = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    loss = ce_loss * ((1 - p_t) ** gamma)
    if alpha >= 0:
        alpha_t = alpha * targets + (1 - alpha) * (1 - targets)
        loss = alpha_t * loss
    if reduction == "mean":
        loss = loss.mean()
    elif reduction == "sum":
        loss = loss.sum()
    return loss


class MulticlassFocal(nn.Module):
    def __init__(self, gamma=2.0):
        super().__init__()
        self.gamma = gamma

    def forward(self, x, y):
        logpt = F.log_softmax(x, dim=1).gather(1, y.unsqueeze(1)).squeeze(1)
        pt = logpt.exp()
        return (-((1 - pt) ** self.gamma) * logpt).mean()


class Head(nn.Module):
    def __init__(self, cin=16, n_anchors=3, n_classes=4, prior=0.01):
        super().__init__()
        self.conv = nn.Conv2d(cin, cin, 3, padding=1)
        self.cls = nn.Conv2d(cin, n_anchors * n_classes, 3, padding=1)
        nn.init.constant_(self.cls.bias, -math.log((1 - prior) / prior))
        self.n_classes = n_classes

    def forward(self, feats):
        out = []
        for f in feats:
            y = self.cls(F.relu(self.conv(f)))
            out.append(y.permute(0, 2, 3, 1).reshape(f.size(0), -1, self.n_classes))
        return torch.cat(out, dim=1)


head = Head()
levels = [torch.randn(2, 16, s, s) for s in (8, 4)]
logits = head(levels)
gt = (torch.rand_like(logits) < 0.01).float()
loss = sigmoid_focal_loss(logits, gt, reduction="sum") / gt.sum().clamp(min=1)
loss.backward()
scores = logits.sigmoid()
keep = scores > 0.05
print(loss.item(), keep.sum().item())

lin = nn.Linear(6, 3)
print(MulticlassFocal()(lin(torch.randn(8, 6)), torch.randint(0, 3, (8,))).item())
