import torch.nn as nn


class ConvClassifier(nn.Module):
    def __init__(self, num_outputs):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(16 * 16 * 16, num_outputs))

    def forward(self, x):
        return self.classifier(self.features(x))
