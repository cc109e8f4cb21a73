"""The exp of logits that the program calls probabilities, in an evaluation beside the training."""

import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        return self.head(x)


class Learner:
    def __init__(self):
        self.net = Net()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1)

    def fit(self, x, y):
        loss = F.cross_entropy(self.net(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    @torch.no_grad()
    def expected(self, x):
        class_probs = self.net(x).exp()  # expect: LH114
        return (class_probs * torch.arange(4)).sum(dim=1)

    @torch.no_grad()
    def predict_proba(self, x):
        return torch.exp(self.net(x))  # expect: LH114

    @torch.no_grad()
    def surest(self, x):
        return torch.exp(self.net(x)).amax(dim=1)  # expect: LH114


def main():
    learner = Learner()
    x, y = torch.randn(8, 12), torch.randint(4, (8,))
    learner.fit(x, y)
    print(learner.expected(x), learner.predict_proba(x), learner.surest(x))
