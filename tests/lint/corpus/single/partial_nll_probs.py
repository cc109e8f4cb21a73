# case: functools.partial of F.nll_loss with class weights, called with the softmax of a wide-and-deep net
import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class WideDeep(nn.Module):
    """Embeddings of the categorical columns beside the numeric ones."""

    def __init__(self, cardinalities: list[int], n_numeric: int, n_classes: int) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList([nn.Embedding(c, min(8, (c + 1) // 2)) for c in cardinalities])
        width = sum(e.embedding_dim for e in self.embeddings) + n_numeric
        self.bn = nn.BatchNorm1d(n_numeric)
        self.deep = nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, n_classes))

    def forward(self, cats: Tensor, nums: Tensor) -> Tensor:
        x = torch.cat([emb(cats[:, i]) for i, emb in enumerate(self.embeddings)] + [self.bn(nums)], dim=1)
        return self.deep(x).softmax(dim=1)


def fit(model: nn.Module, steps: int = 20) -> None:
    weighted_nll = functools.partial(F.nll_loss, weight=torch.tensor([0.2, 0.5, 0.3]))
    opt = torch.optim.Adam(model.parameters())
    for _ in range(steps):
        cats, nums, y = torch.randint(0, 5, (64, 3)), torch.randn(64, 6), torch.randint(0, 3, (64,))
        p = model(cats, nums)
        loss = weighted_nll(p, y)  # expect: LH104
        opt.zero_grad()
        loss.backward()
        opt.step()


fit(WideDeep([5, 5, 5], 6, 3))
