import torch
import torch.nn.functional as F
from ensemble import Ensemble


def blobs(n, n_classes=3):
    label = torch.randint(n_classes, (n,))
    return torch.randn(n, 2) + 2 * label[:, None], label


def main():
    x, y = blobs(600)
    model = Ensemble(5, n_in=2, n_out=3)
    for member in model.members:
        optimizer = torch.optim.Adam(member.parameters(), lr=1e-2)
        for _ in range(300):
            optimizer.zero_grad()
            loss = F.cross_entropy(member(x), y)
            loss.backward()
            optimizer.step()

    x_test, y_test = blobs(300)
    with torch.no_grad():
        nll = F.nll_loss(model(x_test), y_test)
        same = F.nll_loss(model.mean_probabilities(x_test).log(), y_test)
        accuracy = (model(x_test).argmax(1) == y_test).float().mean()
    print(f"nll {nll.item():.4f} ({same.item():.4f}) accuracy {accuracy.item():.3f}")


if __name__ == "__main__":
    main()
