import torch
from torch.utils.data import Dataset


class Blobs(Dataset):
    def __init__(self, n, n_classes=3):
        self.y = torch.arange(n) % n_classes
        centre = torch.stack([self.y.float(), (self.y.float() - 1) ** 2], dim=1)
        self.x = centre + 0.3 * torch.randn(n, 2)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]
