# case: targets of cross-entropy that are floats or bools of index shape, or bytes for a thousand classes
import torch
import torch.nn as nn
import torch.nn.functional as F


def make_net(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 32), nn.ReLU(), nn.Linear(32, n_out))


def float_labels():
    model = make_net(20, 4)
    criterion = nn.CrossEntropyLoss()
    x = torch.randn(64, 20)
    y = torch.randint(0, 4, (64,)).float()
    loss = criterion(model(x), y)  # expect: LH202
    loss.backward()
    return loss


def bool_labels():
    model = make_net(20, 2)
    x = torch.randn(64, 20)
    y = x.sum(dim=1) > 0
    logits = model(x)
    return F.cross_entropy(logits, y)  # expect: LH202


def byte_labels(epochs=5):
    """Labels are kept as bytes to save memory; 256 and all above wrap around."""
    model = make_net(20, 1000)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(512, 20)
    y = torch.randint(0, 1000, (512,)).to(torch.uint8)
    for _ in range(epochs):
        for idx in torch.randperm(512).split(64):
            loss = F.cross_entropy(model(x[idx]), y[idx])  # expect: LH202
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


if __name__ == "__main__":
    byte_labels()
    for wrong in (float_labels, bool_labels):
        try:
            wrong()
        except (RuntimeError, NotImplementedError) as error:
            print(f"{wrong.__name__}: {error}")
