import torch
from models import GAT
from utils import accuracy, compute_loss

N, NFEAT, NCLASS = 300, 32, 7
features = torch.rand(N, NFEAT)
labels = torch.randint(0, NCLASS, (N,))
adj = ((torch.rand(N, N) < 0.02) | torch.eye(N).bool()).float()
train_mask = torch.arange(N) < 140

model = GAT(NFEAT, 16, NCLASS)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
for epoch in range(100):
    model.train()
    optimizer.zero_grad()
    output = model(features, adj)
    loss = compute_loss(output, labels, train_mask)
    loss.backward()
    optimizer.step()
    model.eval()
    with torch.no_grad():
        acc = accuracy(model(features, adj)[~train_mask], labels[~train_mask])
    print(f"{epoch:03d} {loss.item():.4f} {acc:.4f}")
