import torch
import torch.nn as nn


class FuzzyClassifier(nn.Module):
    """Rules fire by Gaussian membership; the firing strengths are normalised to class probabilities."""

    def __init__(self, n_features, n_rules, n_classes):
        super().__init__()
        self.centres = nn.Parameter(torch.randn(n_rules, n_features))
        self.log_width = nn.Parameter(torch.zeros(n_rules, n_features))
        self.vote = nn.Linear(n_rules, n_classes)

    def forward(self, x):
        distance = (x.unsqueeze(1) - self.centres) / self.log_width.exp()
        firing = torch.exp(-0.5 * distance.pow(2).sum(-1))
        return torch.softmax(self.vote(firing), dim=1)
