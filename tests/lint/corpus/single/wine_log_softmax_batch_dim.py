# case: wine quality MLP with nn.LogSoftmax(dim=0): the rows of the batch compete for each class
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def make_data(n: int = 240) -> TensorDataset:
    x = torch.randn(n, 11)
    y = (x[:, :3].sum(1) > 0).long() + (x[:, 3] > 1).long()
    return TensorDataset(x, y)


net = nn.Sequential(
    nn.Linear(11, 100),
    nn.ReLU(),
    nn.Dropout(0.25),
    nn.Linear(100, 3),
    nn.LogSoftmax(dim=0),  # expect: LH112
)

if __name__ == "__main__":
    ds = make_data()
    dl = DataLoader(ds, batch_size=24, shuffle=True)
    nll = nn.NLLLoss()
    opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(5):
        seen = hits = 0
        for xb, yb in dl:
            out = net(xb)
            loss = nll(out, yb)
            opt.zero_grad()
            loss.backward()
            opt.step()
            hits += (out.argmax(dim=1) == yb).sum().item()
            seen += yb.numel()
        print(f"{epoch}: loss={loss.item():.3f} acc={hits / seen:.3f}")
