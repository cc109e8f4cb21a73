# case: Trainer class with self.criterion; two sigmoid outputs for "cat or dog" and cross-entropy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


@dataclass
class Config:
    lr: float = 3e-4
    epochs: int = 1
    batch_size: int = 8
    device: str = "cpu"


class CatDog(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(4)
        )
        self.classifier = nn.Linear(8 * 16, 2)

    def forward(self, x):
        x = self.features(x).flatten(1)
        return torch.sigmoid(self.classifier(x))


class Trainer:
    def __init__(self, model, train_set, cfg: Config):
        self.cfg = cfg
        self.model = model.to(cfg.device)
        self.criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=cfg.lr)
        self.loader = DataLoader(train_set, cfg.batch_size, shuffle=True)

    def _step(self, batch):
        x, y = (t.to(self.cfg.device) for t in batch)
        out = self.model(x)
        return self.criterion(out, y), (out.argmax(1) == y).sum()  # expect: LH102

    def fit(self):
        for epoch in range(self.cfg.epochs):
            hits = 0
            for batch in self.loader:
                loss, n = self._step(batch)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                hits += n.item()
            print(epoch, hits / len(self.loader.dataset))


if __name__ == "__main__":
    Trainer(CatDog(), TensorDataset(torch.rand(32, 3, 32, 32), torch.randint(2, (32,))), Config()).fit()
