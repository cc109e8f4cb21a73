import torch.nn as nn


class Discriminator(nn.Module):
    def __init__(self, channels=1, width=64):
        super().__init__()

        def block(cin, cout, bn=True):
            layers = [nn.Conv2d(cin, cout, 4, 2, 1, bias=not bn)]
            if bn:
                layers.append(nn.BatchNorm2d(cout))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            return layers

        self.model = nn.Sequential(
            *block(channels, width, bn=False),
            *block(width, 2 * width),
            *block(2 * width, 4 * width),
        )
        self.adv_layer = nn.Sequential(nn.Flatten(), nn.Linear(4 * width * 4 * 4, 1), nn.Sigmoid())

    def forward(self, img):
        return self.adv_layer(self.model(img))
