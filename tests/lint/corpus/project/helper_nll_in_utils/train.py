import time

import torch
import torch.optim as optim
from models import GCN
from utils import accuracy, compute_loss, set_seed

set_seed(42)
N, NFEAT, NCLASS = 500, 64, 7
features = torch.rand(N, NFEAT)
labels = torch.randint(0, NCLASS, (N,))
adj = torch.eye(N).to_sparse()
idx_train = torch.arange(140)
idx_val = torch.arange(200, 300)

model = GCN(nfeat=NFEAT, nhid=16, nclass=NCLASS, dropout=0.5)
optimizer = optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)


def train(epoch):
    t = time.time()
    model.train()
    optimizer.zero_grad()
    output = model(features, adj)
    loss_train = compute_loss(output, labels, idx_train)  # allow: LH105
    loss_train.backward()
    optimizer.step()
    model.eval()
    output = model(features, adj)
    acc_val = accuracy(output[idx_val], labels[idx_val])
    print(f"Epoch {epoch:04d} loss {loss_train.item():.4f} val {acc_val:.4f} {time.time() - t:.2f}s")


for epoch in range(200):
    train(epoch)
