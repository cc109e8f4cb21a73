"""The network: one logit per subscriber."""

from torch import Tensor, nn


class SubscriberModel(nn.Module):
    def __init__(self, columns: int, hidden: int = 20) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(columns)
        self.hidden = nn.Linear(columns, hidden)
        self.act = nn.ELU()
        self.logit = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.logit(self.act(self.hidden(self.norm(x))))
