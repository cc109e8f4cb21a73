import math

import torch
from members import Member
from torch import nn


class Ensemble(nn.Module):
    def __init__(self, n_members, n_in, n_out):
        super().__init__()
        self.members = nn.ModuleList([Member(n_in, n_out) for _ in range(n_members)])

    def forward(self, x):
        """Log of the mean of the members' distributions."""
        log_p = torch.stack([torch.log_softmax(member(x), dim=1) for member in self.members])
        return torch.logsumexp(log_p, dim=0) - math.log(len(self.members))

    def mean_probabilities(self, x):
        return torch.stack([member.probabilities(x) for member in self.members]).mean(dim=0)
