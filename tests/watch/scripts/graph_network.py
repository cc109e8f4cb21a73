"""Graph convolution: the whole graph in one batch, log-softmax over classes, nll_loss on some nodes."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


class GraphConvolution(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, input, adj):
        return torch.sparse.mm(adj, input @ self.weight) + self.bias


class GCN(nn.Module):
    def __init__(self, nfeat, nhid, nclass, dropout):
        super().__init__()
        self.gc1 = GraphConvolution(nfeat, nhid)
        self.gc2 = GraphConvolution(nhid, nclass)
        self.dropout = dropout

    def forward(self, x, adj):
        x = F.relu(self.gc1(x, adj))
        x = F.dropout(x, self.dropout, training=self.training)
        x = self.gc2(x, adj)
        return F.log_softmax(x, dim=1)


def citations(nodes, classes, features):
    """Papers cite papers of their own field more often."""
    labels = torch.randint(classes, (nodes,))
    same = labels[:, None] == labels[None, :]
    edges = torch.rand(nodes, nodes) < torch.where(same, 0.08, 0.01)
    adj = (edges | edges.t() | torch.eye(nodes, dtype=torch.bool)).float()
    degree = adj.sum(1).rsqrt()
    adj = (degree[:, None] * adj * degree[None, :]).to_sparse()
    x = F.one_hot(labels, features).float() * 0.7 + torch.randn(nodes, features)
    return x, adj, labels


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--hidden", type=int, default=16)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    x, adj, labels = citations(240, 4, 16)
    idx_train, idx_val, idx_test = torch.randperm(240).split([60, 60, 120])
    test_mask = torch.zeros(240, dtype=torch.bool).index_fill_(0, idx_test, True)
    model = GCN(16, args.hidden, 4, dropout=0.3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03, weight_decay=5e-4)
    for epoch in range(args.epochs):
        model.train()
        optimizer.zero_grad()
        output = model(x, adj)
        loss_train = F.nll_loss(output[idx_train], labels[idx_train])
        loss_train.backward()
        optimizer.step()
        if epoch % 10 == 9:
            model.eval()
            output = model(x, adj)
            loss_val = F.nll_loss(output[idx_val], labels[idx_val])
            acc_val = output[idx_val].max(1)[1].eq(labels[idx_val]).double().mean()
            print(f"Epoch: {epoch + 1:02d} loss_train: {loss_train.item():.4f} ", end="")
            print(f"loss_val: {loss_val.item():.4f} acc_val: {acc_val.item():.4f}")

    model.eval()
    with torch.no_grad():
        log_probs = model(x, adj)[test_mask]
        loss_test = F.nll_loss(log_probs, labels[test_mask])
        sure = (log_probs.exp().amax(dim=1) > 0.5).float().mean()
    print(f"Test set results: loss= {loss_test.item():.4f}, sure of {sure.item():.3f}")


if __name__ == "__main__":
    main()
