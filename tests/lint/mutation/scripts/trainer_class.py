"""A trainer that holds model, criterion and optimizer, with class weights from the counts."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

N_CLASSES = 4


class SensorNet(nn.Module):
    def __init__(self, channels: int = 3, n_classes: int = N_CLASSES) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, 10, kernel_size=3, padding=1)
        self.gru = nn.GRU(10, 12, batch_first=True)
        self.fc = nn.Linear(12, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.conv(x)).transpose(1, 2)
        _, last = self.gru(features)
        return self.fc(last[-1])


class Trainer:
    def __init__(self, model: nn.Module, lr: float, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.model = model.to(self.device)
        self.criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 1.0, 2.0, 4.0]))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=lr)

    def _step(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.model(x.to(self.device))
        loss = self.criterion(logits, y.to(self.device))
        return logits, loss

    def fit(self, loader: DataLoader, epochs: int) -> None:
        for _ in range(epochs):
            self.model.train()
            for x, y in loader:
                _, loss = self._step(x, y)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()

    @torch.no_grad()
    def test(self, loader: DataLoader) -> float:
        self.model.eval()
        hits, n = 0, 0
        for x, y in loader:
            logits, _ = self._step(x, y)
            pred = logits.max(dim=1).indices
            hits += int((pred == y).sum())
            n += len(y)
        return hits / n

    @torch.no_grad()
    def predict_proba(self, x: torch.Tensor) -> torch.Tensor:
        self.model.eval()
        logits = self.model(x.to(self.device))
        return torch.softmax(logits, dim=-1)


def main() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(44, 3, 20), torch.randint(0, N_CLASSES, (44,))
    trainer = Trainer(SensorNet(), lr=5e-3)
    trainer.fit(DataLoader(TensorDataset(x, y), batch_size=12, shuffle=True), epochs=3)
    accuracy = trainer.test(DataLoader(TensorDataset(x, y), batch_size=16))
    print(f"accuracy {accuracy:.4f} sure {trainer.predict_proba(x).amax(dim=-1).mean():.6f}")


if __name__ == "__main__":
    main()
