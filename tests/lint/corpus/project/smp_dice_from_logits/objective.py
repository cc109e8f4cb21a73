import segmentation_models_pytorch as smp

dice = smp.losses.DiceLoss(mode="multilabel")
dice_of_probs = smp.losses.DiceLoss(mode="multilabel", from_logits=False)
bce = smp.losses.SoftBCEWithLogitsLoss()


def objective(output, mask):
    return dice(output, mask) + bce(output, mask)
