import segmentation_models_pytorch as smp


def build(classes, activation=None):
    return smp.Unet(
        encoder_name="resnet18",
        encoder_weights="imagenet",
        in_channels=3,
        classes=classes,
        activation=activation,
    )
