import torch
import torch.nn.functional as F
from nets import TinyResNet
from torch import nn

CLASSES = ("healthy", "rust", "scab", "mildew", "rot")


class Runner:
    def __init__(self, lr=1e-3):
        self.net = TinyResNet(len(CLASSES))
        self.bce = nn.BCEWithLogitsLoss()
        self.opt = torch.optim.Adam(self.net.parameters(), lr=lr)

    def step(self, images, labels):
        target = F.one_hot(labels, num_classes=len(CLASSES)).float()
        scores = self.net(images)
        loss = self.bce(scores, target)  # expect: LH107
        self.opt.zero_grad()
        loss.backward()
        self.opt.step()
        return loss.item()


def main():
    runner = Runner()
    for i in range(500):
        images = torch.rand(16, 3, 64, 64)
        labels = torch.randint(len(CLASSES), (16,))
        value = runner.step(images, labels)
        if i % 50 == 0:
            print(i, value)


if __name__ == "__main__":
    main()
