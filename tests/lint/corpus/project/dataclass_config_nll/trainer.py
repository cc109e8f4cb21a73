import torch
from config import Config
from torch import nn
from torch.utils.data import DataLoader


class Trainer:
    def __init__(self, model: nn.Module, cfg: Config):
        self.model = model
        self.cfg = cfg
        self.loss_fn = nn.NLLLoss()
        self.optimizer = torch.optim.Adadelta(model.parameters(), lr=cfg.lr)

    def fit(self, dataset) -> None:
        loader = DataLoader(dataset, batch_size=self.cfg.batch_size, shuffle=True)
        for epoch in range(self.cfg.epochs):
            self.model.train()
            for tokens, labels in loader:
                loss = self._step(tokens, labels)
            print(f"epoch {epoch + 1}/{self.cfg.epochs}: {loss:.4f}")

    def _step(self, tokens: torch.Tensor, labels: torch.Tensor) -> float:
        self.optimizer.zero_grad()
        output = self.model(tokens)
        loss = self.loss_fn(output, labels)  # expect: LH104
        loss.backward()
        self.optimizer.step()
        return loss.item()
