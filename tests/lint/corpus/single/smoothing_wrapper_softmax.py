# case: custom loss class around nn.CrossEntropyLoss plus a confidence penalty, called with softmax outputs
import torch
import torch.nn as nn


class SmoothedLoss(nn.Module):
    """Cross-entropy plus a small penalty on confident predictions."""

    def __init__(self, beta=0.1, weight=None):
        super().__init__()
        self.beta = beta
        self.ce = nn.CrossEntropyLoss(weight=weight)

    def forward(self, prediction, target):
        base = self.ce(prediction, target)  # expect: LH101
        penalty = prediction.pow(2).sum(dim=1).mean()
        return base + self.beta * penalty


class Classifier(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.fc = nn.Linear(n_in, 48)
        self.bn = nn.BatchNorm1d(48)
        self.out = nn.Linear(48, n_out)

    def forward(self, x):
        x = self.bn(torch.relu(self.fc(x)))
        return self.out(x)

    def probabilities(self, x):
        return torch.softmax(self.forward(x), dim=1)


def training_loop(clf, criterion, steps):
    opt = torch.optim.NAdam(clf.parameters())
    for _ in range(steps):
        x = torch.randn(20, 10)
        t = torch.randint(0, 4, (20,))
        probs = clf.probabilities(x)
        opt.zero_grad()
        loss = criterion(probs, t)  # allow: LH101
        loss.backward()
        opt.step()
        yield loss.item()


if __name__ == "__main__":
    for value in training_loop(Classifier(10, 4), SmoothedLoss(), 5):
        print(value)
