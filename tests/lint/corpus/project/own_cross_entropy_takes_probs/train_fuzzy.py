import torch
from fuzzy import FuzzyClassifier
from losses import CrossEntropyLoss


def main(steps=400):
    model = FuzzyClassifier(n_features=4, n_rules=12, n_classes=3)
    criterion = CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for step in range(steps):
        x = torch.randn(64, 4)
        y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
        probs = model(x)
        loss = criterion(probs, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            print(step, loss.item(), probs.max(dim=1).values.mean().item())


if __name__ == "__main__":
    main()
