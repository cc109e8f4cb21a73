import torch
from net import SpeakerNet
from torch import nn

from evaluate import top5


def batch(n=32):
    return torch.randn(n, 40, 200), torch.randint(100, (n,))


def main(epochs=5):
    model = SpeakerNet(40, 100)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters())
    for epoch in range(epochs):
        model.train()
        for _ in range(20):
            x, speaker = batch()
            loss = criterion(model(x), speaker)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(epoch, loss.item(), top5(model, *batch()))


if __name__ == "__main__":
    main()
