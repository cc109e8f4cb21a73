"""Heart disease from a table: one logit, trained on the whole table at once."""

import torch
import torch.nn as nn


class RiskModel(nn.Module):
    def __init__(self, n_features, hidden=16):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
        )
        self.out = nn.Linear(hidden, 1)

    def forward(self, x):
        return self.out(self.layers(x))


def accuracy_fn(y_true, y_pred):
    correct = torch.eq(y_true, y_pred).sum().item()
    return 100 * correct / len(y_pred)


def main():
    torch.manual_seed(42)
    X = torch.randn(60, 7)
    y = (X[:, 0] - 0.5 * X[:, 3] > 0).float()
    X_train, X_test = X[:40], X[40:]
    y_train, y_test = y[:40], y[40:]

    model = RiskModel(n_features=7)
    loss_fn = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)

    for epoch in range(20):
        model.train()
        y_logits = model(X_train).squeeze(1)
        loss = loss_fn(y_logits, y_train)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

        if epoch % 10 == 9:
            model.eval()
            with torch.inference_mode():
                test_logits = model(X_test).squeeze(1)
                test_loss = loss_fn(test_logits, y_test)
                test_pred = (test_logits > 0).float()
                test_acc = accuracy_fn(y_true=y_test, y_pred=test_pred)
            print(f"{epoch}: loss {loss.item():.6f} test {test_loss.item():.6f} accuracy {test_acc:.2f}")


main()
