import torch
import torch.nn as nn


class Trainer:
    def __init__(self, net, lr=0.001):
        self.net = net
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=lr)

    def train(self, loader, epochs):
        for epoch in range(epochs):
            for images, labels in loader:
                self.optimizer.zero_grad()
                outputs = self.net(images)
                loss = self.criterion(outputs, labels)  # expect: LH303
                loss.backward()
                self.optimizer.step()
            print("epoch", epoch, "done")
