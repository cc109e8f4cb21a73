import torch.nn as nn
import torch.nn.functional as F


class GAT(nn.Module):
    """One attention head over a dense adjacency matrix."""

    def __init__(self, nfeat, nhid, nclass, dropout=0.5):
        super().__init__()
        self.W = nn.Linear(nfeat, nhid, bias=False)
        self.a_src = nn.Linear(nhid, 1, bias=False)
        self.a_dst = nn.Linear(nhid, 1, bias=False)
        self.fc = nn.Linear(nhid, nclass)
        self.dropout = dropout

    def forward(self, x, adj):
        h = self.W(x)
        scores = F.leaky_relu(self.a_src(h) + self.a_dst(h).T, 0.2)
        scores = scores.masked_fill(adj == 0, -1e9)
        attention = F.softmax(scores, dim=1)
        attention = F.dropout(attention, self.dropout, training=self.training)
        return self.fc(F.elu(attention @ h))
