from torch import nn


class MLP(nn.Module):
    def __init__(self, sizes, activation=None, output_activation=None):
        super().__init__()
        activation = activation if activation is not None else nn.ReLU()
        layers = []
        for i in range(len(sizes) - 1):
            layers.append(nn.Linear(sizes[i], sizes[i + 1]))
            if i < len(sizes) - 2:
                layers.append(activation)
        self.layers = nn.Sequential(*layers)
        self.output_activation = output_activation

    def forward(self, x):
        out = self.layers(x)
        if self.output_activation is not None:
            out = self.output_activation(out)
        return out
