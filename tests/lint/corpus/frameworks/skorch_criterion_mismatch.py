# case: skorch: CrossEntropyLoss on a softmax; a binary net (default BCEWithLogitsLoss) on a sigmoid
import torch
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier
from skorch.helper import predefined_split
from torch import nn
from torchvision import datasets, transforms


class LeNet(nn.Module):
    def __init__(self, n_classes=10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, n_classes))
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x):
        x = self.features(x).flatten(1)
        return self.softmax(self.classifier(x))


class FraudNet(nn.Module):
    def __init__(self, n_in=29):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_in, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, x):
        return torch.sigmoid(self.layers(x)).squeeze(-1)


def digits(root="data"):
    to_tensor = transforms.ToTensor()
    train = datasets.MNIST(root, train=True, download=True, transform=to_tensor)
    test = datasets.MNIST(root, train=False, transform=to_tensor)
    net = NeuralNetClassifier(  # expect: LH101
        LeNet,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        batch_size=128,
        train_split=predefined_split(test),
    )
    return net.fit(train, None)


def fraud(X, y):
    net = NeuralNetBinaryClassifier(FraudNet, max_epochs=30, lr=0.01)  # expect: LH106
    net.fit(X, y.astype("float32"))
    return net.predict_proba(X)[:, 1]
