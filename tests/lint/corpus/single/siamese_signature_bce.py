# case: siamese signature check; difference of two towers into Linear(..., 1), BCELoss without a sigmoid
import torch
from torch import nn


class Tower(nn.Module):
    def __init__(self, emb=32):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(), nn.Flatten()
        )
        self.proj = nn.LazyLinear(emb)

    def forward(self, x):
        return self.proj(self.net(x))


class Siamese(nn.Module):
    def __init__(self, emb=32):
        super().__init__()
        self.tower = Tower(emb)
        self.compare = nn.Linear(emb, 1)

    def forward_once(self, x):
        return nn.functional.normalize(self.tower(x), dim=1)

    def forward(self, a, b):
        distance = torch.abs(self.forward_once(a) - self.forward_once(b))
        return self.compare(distance).squeeze(1)


def batches(n, size=8):
    for _ in range(n):
        yield torch.rand(size, 1, 40, 40), torch.rand(size, 1, 40, 40), torch.randint(0, 2, (size,)).float()


def main():
    net = Siamese()
    net(torch.rand(2, 1, 40, 40), torch.rand(2, 1, 40, 40))
    loss_func = nn.BCELoss()
    optimizer = torch.optim.Adam(net.parameters(), 6e-5)
    history = []
    for left, right, same in batches(10):
        optimizer.zero_grad()
        score = net(left, right)
        loss = loss_func(score, same)  # expect: LH108
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    print(history[-1])


if __name__ == "__main__":
    main()
