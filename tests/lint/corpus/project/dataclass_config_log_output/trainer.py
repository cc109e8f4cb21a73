import torch
from config import Config
from torch import nn
from torch.utils.data import DataLoader


class Trainer:
    def __init__(self, model: nn.Module, cfg: Config):
        self.model = model
        self.cfg = cfg
        self.loss_fn = nn.NLLLoss()
        self.optimizer = torch.optim.Adam(model.parameters(), lr=cfg.lr)

    def fit(self, dataset) -> None:
        loader = DataLoader(dataset, batch_size=self.cfg.batch_size, shuffle=True)
        for epoch in range(self.cfg.epochs):
            for tokens, labels in loader:
                self.optimizer.zero_grad()
                loss = self.loss_fn(self.model(tokens), labels)
                loss.backward()
                self.optimizer.step()
            print(f"epoch {epoch + 1}/{self.cfg.epochs}: {loss.item():.4f}")
