# case: focal loss built on binary_cross_entropy_with_logits; the detector already applies a sigmoid
import torch
import torch.nn as nn
import torch.nn.functional as F


class FocalLoss(nn.Module):
    def __init__(self, alpha=0.25, gamma=2.0, reduction="mean"):
        super(FocalLoss, self).__init__()
        self.alpha = alpha
        self.gamma = gamma
        self.reduction = reduction

    def forward(self, inputs, targets):
        bce = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")  # expect: LH106
        pt = torch.exp(-bce)
        alpha_t = self.alpha * targets + (1 - self.alpha) * (1 - targets)
        loss = alpha_t * (1 - pt) ** self.gamma * bce
        if self.reduction == "mean":
            return loss.mean()
        elif self.reduction == "sum":
            return loss.sum()
        return loss


class AnomalyDetector(nn.Module):
    def __init__(self, window=50, channels=4):
        super().__init__()
        self.conv = nn.Conv1d(channels, 16, kernel_size=7, padding=3)
        self.lstm = nn.LSTM(16, 32, batch_first=True)
        self.fc = nn.Linear(32, 1)
        self.window = window

    def forward(self, x):
        h = F.relu(self.conv(x)).permute(0, 2, 1)
        h, _ = self.lstm(h)
        return torch.sigmoid(self.fc(h[:, -1, :])).squeeze(1)


detector = AnomalyDetector()
criterion = FocalLoss(gamma=1.5)
optimizer = torch.optim.Adam(detector.parameters(), lr=1e-3)
for step in range(10):
    signal = torch.randn(16, 4, detector.window)
    anomalous = (torch.rand(16) < 0.1).float()
    score = detector(signal)
    loss = criterion(score, anomalous)  # allow: LH106
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
alarm = detector(torch.randn(1, 4, 50)) > 0.5
print(bool(alarm))
