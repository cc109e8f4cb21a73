import torch
from torch import nn

from app import model as models

LOSS = nn.NLLLoss()


def train(net, clouds, labels, epochs=10, lr=1e-3):
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    for _ in range(epochs):
        for rows in torch.randperm(len(clouds)).split(32):
            loss = LOSS(net(clouds[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return loss.item()


def main():
    clouds = torch.randn(320, 128, 3)
    labels = torch.randint(models.NUM_CLASSES, (320,))
    net = models.PointNet()
    print(train(net, clouds, labels))
    print(net.fit(clouds, labels, epochs=2))


if __name__ == "__main__":
    main()
