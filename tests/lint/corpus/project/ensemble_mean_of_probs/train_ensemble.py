import torch
import torch.nn.functional as F
from ensemble import Ensemble


def spirals(n, n_classes=3):
    label = torch.randint(n_classes, (n,))
    radius = torch.rand(n)
    angle = 4 * radius + label * (2 * torch.pi / n_classes) + 0.1 * torch.randn(n)
    return torch.stack([radius * angle.sin(), radius * angle.cos()], dim=1), label


def main():
    torch.manual_seed(1)
    x, y = spirals(600)
    model = Ensemble(5, n_in=2, n_out=3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(1000):
        optimizer.zero_grad()
        p = model(x)
        loss = F.cross_entropy(p, y)  # expect: LH101
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(step, loss.item(), (p.argmax(1) == y).float().mean().item())
    print("disagreement", model.disagreement(x).item())


if __name__ == "__main__":
    main()
