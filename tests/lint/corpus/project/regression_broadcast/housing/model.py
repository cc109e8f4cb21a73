from torch import nn


class PriceNet(nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n_features, 128), nn.SiLU(), nn.Linear(128, 64), nn.SiLU())
        self.price = nn.Linear(64, 1)

    def forward(self, features):
        return self.price(self.body(features))
