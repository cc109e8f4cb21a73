import torch
import torch.nn as nn


class BinaryTrainer:
    def __init__(self, net, lr=0.001):
        self.net = net
        self.criterion = nn.BCEWithLogitsLoss()
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=lr)

    def loss(self, outputs, labels):
        return self.criterion(outputs, labels.float().unsqueeze(1))

    def fit(self, batches):
        for images, labels in batches:
            self.optimizer.zero_grad()
            loss = self.loss(self.net(images), labels)
            loss.backward()
            self.optimizer.step()
        print(type(self).__name__, loss.item())


class MulticlassTrainer(BinaryTrainer):
    def __init__(self, net, lr=0.001):
        super().__init__(net, lr)
        self.criterion = nn.CrossEntropyLoss()

    def loss(self, outputs, labels):
        return self.criterion(outputs, labels)
