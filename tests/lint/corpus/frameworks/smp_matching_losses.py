# case: smp without activation under losses of logits, and with one under from_logits=False: nothing is wrong
import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.losses import (
    DiceLoss,
    FocalLoss,
    JaccardLoss,
    LovaszLoss,
    SoftBCEWithLogitsLoss,
    SoftCrossEntropyLoss,
    TverskyLoss,
)
from torch import nn


class RoadSegmenter(nn.Module):
    def __init__(self, arch="FPN", encoder="resnet34", classes=1):
        super().__init__()
        self.net = smp.create_model(arch, encoder_name=encoder, in_channels=3, classes=classes)
        self.dice = DiceLoss(mode="binary", from_logits=True)
        self.bce = SoftBCEWithLogitsLoss()
        self.focal = FocalLoss("binary", alpha=0.25)

    def forward(self, image):
        return self.net(image)

    def loss(self, image, mask):
        logits_mask = self(image)
        return self.dice(logits_mask, mask) + self.bce(logits_mask, mask) + 10 * self.focal(logits_mask, mask)

    @torch.no_grad()
    def predict(self, image):
        prob_mask = self(image).sigmoid()
        return (prob_mask > 0.5).float()


class LandCover(nn.Module):
    """Its network ends in a softmax over the channels, and its losses are told so."""

    def __init__(self, classes=7):
        super().__init__()
        self.net = smp.DeepLabV3Plus("resnet50", classes=classes, activation="softmax2d")
        self.jaccard = JaccardLoss(mode="multiclass", from_logits=False)
        self.tversky = TverskyLoss(mode="multiclass", from_logits=False, alpha=0.3, beta=0.7)

    def loss(self, image, target):
        probs = self.net(image)
        return self.jaccard(probs, target) + self.tversky(probs, target)


def multiclass_logits_step(batch, optimizer):
    model = smp.UnetPlusPlus("resnet18", encoder_weights=None, classes=4)
    criteria = [DiceLoss("multiclass"), LovaszLoss("multiclass"), SoftCrossEntropyLoss(smooth_factor=0.1)]
    out = model(batch["image"])
    loss = sum(criterion(out, batch["mask"].long()) for criterion in criteria)
    loss.backward()
    optimizer.step()
    return out.softmax(dim=1).argmax(dim=1)
