import torch
from torch import nn


class FraudNet(nn.Module):
    def __init__(self, n_numeric: int, cardinalities: list[int], hidden: int = 64):
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(n, min(16, n // 2 + 1)) for n in cardinalities)
        width = n_numeric + sum(e.embedding_dim for e in self.embeddings)
        self.net = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.out = nn.Linear(hidden, 1)

    def forward(self, numeric: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
        embedded = [e(categories[:, i]) for i, e in enumerate(self.embeddings)]
        x = torch.cat([numeric, *embedded], dim=1)
        return self.out(self.net(x)).squeeze(-1)
