import segmentation_models_pytorch as smp


def build(classes, encoder="resnet34"):
    return smp.Unet(encoder_name=encoder, encoder_weights="imagenet", in_channels=3, classes=classes)
