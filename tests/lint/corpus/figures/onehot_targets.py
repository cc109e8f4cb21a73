# case: float one-hot targets into cross-entropy where the class indices are at hand: one_hot, scatter_, eye
import torch
import torch.nn.functional as F
from torch import nn, optim

NUM_CLASSES = 7


class MLP(nn.Module):
    def __init__(self, n_in=12, n_out=NUM_CLASSES):
        super().__init__()
        self.fc1 = nn.Linear(n_in, 48)
        self.fc2 = nn.Linear(48, n_out)

    def forward(self, x):
        return self.fc2(torch.tanh(self.fc1(x)))


def step_one_hot(model, x, y):
    y_onehot = F.one_hot(y, num_classes=NUM_CLASSES).float()
    return F.cross_entropy(model(x), y_onehot)  # expect: LH201


def step_scatter(model, criterion, x, y):
    target = torch.zeros(y.size(0), NUM_CLASSES, device=y.device)
    target.scatter_(1, y.unsqueeze(1), 1.0)
    loss = criterion(model(x), target)  # expect: LH201
    return loss


def step_eye(model, criterion, x, y):
    target = torch.eye(NUM_CLASSES)[y]
    loss = criterion(model(x), target)  # expect: LH201
    return loss


def main():
    torch.manual_seed(0)
    model = MLP()
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    for step in range(30):
        x, y = torch.randn(16, 12), torch.randint(NUM_CLASSES, (16,))
        if step % 3 == 0:
            loss = step_one_hot(model, x, y)
        elif step % 3 == 1:
            loss = step_scatter(model, criterion, x, y)
        else:
            loss = step_eye(model, criterion, x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


if __name__ == "__main__":
    main()
