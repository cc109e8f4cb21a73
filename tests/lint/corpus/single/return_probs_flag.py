# case: forward(x, return_probs=False); training leaves the flag alone, serving sets it
from typing import Optional, Tuple

import torch
from torch import Tensor, nn


class Highway(nn.Module):
    """x * (1 - g) + f(x) * g with a sigmoid gate."""

    def __init__(self, dim: int):
        super().__init__()
        self.transform = nn.Linear(dim, dim)
        self.gate = nn.Linear(dim, dim)
        nn.init.constant_(self.gate.bias, -2.0)

    def forward(self, x: Tensor) -> Tensor:
        g = torch.sigmoid(self.gate(x))
        return g * torch.relu(self.transform(x)) + (1 - g) * x


class TopicModel(nn.Module):
    def __init__(self, vocab: int, n_topics: int, dim: int = 40):
        super().__init__()
        self.bag = nn.EmbeddingBag(vocab, dim)
        self.highway = nn.Sequential(Highway(dim), Highway(dim))
        self.head = nn.Linear(dim, n_topics)

    def forward(self, ids: Tensor, offsets: Optional[Tensor] = None, return_probs: bool = False) -> Tensor:
        z = self.head(self.highway(self.bag(ids, offsets)))
        if return_probs:
            return z.softmax(dim=-1)
        return z


def predict(model: TopicModel, ids: Tensor) -> Tuple[Tensor, Tensor]:
    was_training = model.training
    model.eval()
    with torch.no_grad():
        probs = model(ids, return_probs=True)
    model.train(was_training)
    return probs.max(dim=-1)


def train(model: TopicModel, n: int = 10) -> float:
    opt = torch.optim.Adam(model.parameters(), lr=1e-2)
    ce = nn.CrossEntropyLoss()
    for _ in range(n):
        ids, y = torch.randint(0, 400, (24, 30)), torch.randint(0, 7, (24,))
        loss = ce(model(ids), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
    return loss.item()


if __name__ == "__main__":
    m = TopicModel(400, 7)
    print(train(m))
    confidence, topic = predict(m, torch.randint(0, 400, (3, 30)))
    print(confidence.tolist(), topic.tolist())
