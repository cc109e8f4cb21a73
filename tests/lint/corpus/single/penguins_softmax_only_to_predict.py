# case: tabular notebook; logits into the global criterion, softmax only where the probabilities are shown
import torch
import torch.nn as nn
import torch.nn.functional as F

# %% data
species = ["Adelie", "Chinstrap", "Gentoo"]
X = torch.randn(333, 4)
y = torch.randint(0, 3, (333,))

# %% model
model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
loss_fn = nn.CrossEntropyLoss()
opt = torch.optim.SGD(model.parameters(), lr=0.1)

# %% training
for epoch in range(200):
    output = model(X)
    loss = loss_fn(output, y)
    loss.backward()
    opt.step()
    opt.zero_grad()

# %% what does it think?
model.eval()
with torch.no_grad():
    output = F.softmax(model(X[:5]), dim=1)
    confidence, pred = output.max(dim=1)
    for c, p, t in zip(confidence, pred, y[:5]):
        print(f"{species[p]:10s} with {c:.1%}, truth {species[t]}")
    sure = (output > 0.5).any(dim=1)
    print(sure.float().mean().item())
    full = torch.softmax(model(X), 1)
    brier = ((full - F.one_hot(y, 3)) ** 2).sum(1).mean()
    print("Brier score", brier.item())
