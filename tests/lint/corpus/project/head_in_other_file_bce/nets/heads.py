from torch import nn


class ClassifierHead(nn.Module):
    def __init__(self, in_channels, num_classes, dropout=0.0):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(dropout) if dropout > 0 else nn.Identity()
        self.fc = nn.Linear(in_channels, num_classes)
        self.act = nn.Softmax(dim=-1)

    def forward(self, feats):
        pooled = self.pool(feats).flatten(1)
        return self.act(self.fc(self.drop(pooled)))


class ProjectionHead(nn.Module):
    def __init__(self, in_channels, dim=128):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(in_channels, in_channels), nn.GELU(), nn.Linear(in_channels, dim))

    def forward(self, feats):
        return nn.functional.normalize(self.mlp(feats.mean((2, 3))), dim=1)
