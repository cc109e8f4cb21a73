import torch
from members import Member
from torch import nn


class Ensemble(nn.Module):
    """Deep ensemble; the prediction is the mean of the members' predictive distributions."""

    def __init__(self, n_members, n_in, n_out):
        super().__init__()
        self.members = nn.ModuleList([Member(n_in, n_out) for _ in range(n_members)])

    def forward(self, x):
        stacked = torch.stack([member.probabilities(x) for member in self.members])
        return stacked.mean(dim=0)

    def disagreement(self, x):
        votes = torch.stack([member(x).argmax(1) for member in self.members])
        return (votes != votes[0]).float().mean()
