import torch
from nets import AttentiveNet
from torch import nn

net = AttentiveNet(num_classes=5)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)


def step(images, labels):
    loss = criterion(net(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


if __name__ == "__main__":
    for i in range(100):
        value = step(torch.rand(16, 3, 64, 64), torch.randint(5, (16,)))
        if i % 10 == 0:
            print(i, value)
