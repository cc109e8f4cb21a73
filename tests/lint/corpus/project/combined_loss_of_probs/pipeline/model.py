from torch import nn

from .decoder import Decoder


class NucleiNet(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.decoder = Decoder(width, 1)

    def forward(self, x):
        features = self.encoder(x)
        return self.decoder(features)
