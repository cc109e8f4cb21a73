import segmentation_models_pytorch as smp

dice = smp.losses.DiceLoss(mode="multiclass", from_logits=False)
focal = smp.losses.FocalLoss(mode="multiclass")


def objective(output, mask):
    return dice(output, mask) + focal(output, mask)  # expect: LH111
