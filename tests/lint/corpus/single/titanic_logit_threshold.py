# case: Titanic survival trained with BCEWithLogitsLoss, but survivors are those whose logit exceeds 0.5
import torch
import torch.nn as nn

torch.manual_seed(42)

n_samples, n_features = 800, 8
X = torch.randn(n_samples, n_features)
w = torch.randn(n_features)
y = ((X @ w + 0.5 * torch.randn(n_samples)) > 0).float()
split = int(0.8 * n_samples)


class SurvivalNet(nn.Module):
    def __init__(self, hidden=(32, 16)):
        super().__init__()
        sizes = [n_features, *hidden]
        self.body = nn.Sequential()
        for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
            self.body.add_module(f"linear{i}", nn.Linear(a, b))
            self.body.add_module(f"relu{i}", nn.ReLU())
        self.head = nn.Linear(sizes[-1], 1)

    def forward(self, x):
        return self.head(self.body(x)).squeeze(-1)


net = SurvivalNet()
loss_fn = nn.BCEWithLogitsLoss()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)

for epoch in range(60):
    net.train()
    out = net(X[:split])
    loss = loss_fn(out, y[:split])
    opt.zero_grad()
    loss.backward()
    opt.step()

    if epoch % 20 == 0:
        net.eval()
        with torch.no_grad():
            val_out = net(X[split:])
            val_loss = loss_fn(val_out, y[split:])
            survived = (val_out > 0.5).float()  # expect: LH113
            acc = (survived == y[split:]).float().mean()
        print(f"{epoch:3d} train {loss:.3f} val {val_loss:.3f} acc {acc:.3f}")

final = (net(X[split:]) >= 0.5).int()  # expect: LH113
print("predicted survivors:", final.sum().item())
