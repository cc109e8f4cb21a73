from torch import nn


class LeNet(nn.Module):
    def __init__(self, n_classes=10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(400, 84), nn.Tanh(), nn.Linear(84, n_classes), nn.LogSoftmax(dim=1)
        )

    def forward(self, x):
        return self.classifier(self.features(x))


class TinyLeNet(LeNet):
    def __init__(self, n_classes=10):
        super().__init__(n_classes)
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(400, n_classes), nn.LogSoftmax(dim=1))
