# case: monai's losses told what they get: sigmoid=True, softmax=True, or probabilities made before: all right
import torch
import torch.nn as nn
from monai.losses import DiceCELoss, DiceFocalLoss, DiceLoss, TverskyLoss
from monai.networks.nets import BasicUNet, SegResNet


def binary_losses(image, label):
    net = BasicUNet(spatial_dims=2, in_channels=1, out_channels=1)
    raw = net(image)
    inside = DiceLoss(sigmoid=True)(raw, label)
    outside = DiceLoss()(torch.sigmoid(raw), label)
    focal = DiceFocalLoss(sigmoid=True, gamma=2.0)(raw, label)
    return inside, outside, focal


class Organs(nn.Module):
    def __init__(self, n=5):
        super().__init__()
        self.net = SegResNet(spatial_dims=3, in_channels=1, out_channels=n, init_filters=16)
        # its cross-entropy part takes the same logits; softmax=True is about the Dice part only
        self.criterion = DiceCELoss(to_onehot_y=True, softmax=True, lambda_dice=1.0, lambda_ce=0.5)

    def forward(self, x):
        logits = self.net(x)
        if self.training:
            return logits
        return torch.softmax(logits, dim=1)

    def training_loss(self, x, y):
        self.train()
        return self.criterion(self(x), y)


def multilabel(image, masks):
    """BraTS: three regions that overlap, one channel each."""
    net = SegResNet(in_channels=4, out_channels=3)
    tversky = TverskyLoss(sigmoid=True, alpha=0.3, beta=0.7)
    criterion = DiceLoss(smooth_nr=0, smooth_dr=1e-5, squared_pred=True, to_onehot_y=False, sigmoid=True)
    out = net(image)
    return criterion(out, masks) + tversky(out, masks)


def other_activation(image, label):
    net = BasicUNet(spatial_dims=2, in_channels=1, out_channels=3)
    loss = DiceLoss(to_onehot_y=True, other_act=lambda x: torch.softmax(x / 2.0, dim=1))
    return loss(net(image), label)
