# case: smp.Unet(activation="sigmoid") under DiceLoss (from_logits=True by default) and SoftBCEWithLogitsLoss
import albumentations as A
import segmentation_models_pytorch as smp
import torch
from torch.utils.data import DataLoader

ENCODER = "efficientnet-b3"
DEVICE = "cuda"

model = smp.Unet(
    encoder_name=ENCODER,
    encoder_weights="imagenet",
    in_channels=3,
    classes=1,
    activation="sigmoid",
)
dice_loss = smp.losses.DiceLoss(mode="binary")
bce_loss = smp.losses.SoftBCEWithLogitsLoss(smooth_factor=0.05)


def augment():
    return A.Compose([A.HorizontalFlip(p=0.5), A.RandomBrightnessContrast(p=0.2), A.Resize(384, 384)])


def compute_loss(pred, mask):
    return 0.5 * dice_loss(pred, mask) + 0.5 * bce_loss(pred, mask)  # expect: LH115, LH106


def train_one_epoch(loader: DataLoader, optimizer) -> float:
    model.train()
    seen, total = 0, 0.0
    for image, mask in loader:
        image, mask = image.to(DEVICE), mask.to(DEVICE).unsqueeze(1).float()
        optimizer.zero_grad()
        pred = model(image)
        loss = compute_loss(pred, mask)
        loss.backward()
        optimizer.step()
        total += loss.item() * image.size(0)
        seen += image.size(0)
    return total / seen


@torch.no_grad()
def valid_iou(loader: DataLoader) -> float:
    model.eval()
    stats = []
    for image, mask in loader:
        pred = model(image.to(DEVICE))
        counts = smp.metrics.get_stats(
            pred, mask.to(DEVICE).unsqueeze(1).long(), mode="binary", threshold=0.5
        )
        stats.append(torch.stack([c.sum() for c in counts]))
    tp, fp, fn, _ = torch.stack(stats).sum(0)
    return (tp / (tp + fp + fn)).item()
