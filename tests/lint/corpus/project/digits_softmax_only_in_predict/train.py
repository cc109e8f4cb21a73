import torch
import torch.nn as nn
from data import get_loaders
from models.net import Net


def main(epochs=3):
    train_loader, _ = get_loaders(64)
    model = Net()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
    for epoch in range(epochs):
        model.train()
        for data, target in train_loader:
            optimizer.zero_grad()
            output = model(data)
            loss = criterion(output, target)
            loss.backward()
            optimizer.step()
        print(epoch, loss.item())
    torch.save(model.state_dict(), "net.pt")


if __name__ == "__main__":
    main()
