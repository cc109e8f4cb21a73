# case: timm with mixup: soft-target, BCE and smoothed losses on the logits, softmax for the top 5
import timm
import torch
import torch.nn as nn
from timm.data import Mixup
from timm.loss import BinaryCrossEntropy, LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from timm.utils import AverageMeter, ModelEmaV2

NUM_CLASSES = 100


def make_criterion(mixup_active, bce_loss, smoothing):
    if mixup_active:
        train_loss_fn = BinaryCrossEntropy(target_threshold=0.2) if bce_loss else SoftTargetCrossEntropy()
    elif smoothing:
        train_loss_fn = LabelSmoothingCrossEntropy(smoothing=smoothing)
    else:
        train_loss_fn = nn.CrossEntropyLoss()
    return train_loss_fn, nn.CrossEntropyLoss()


def train_epoch(model, loader, optimizer, loss_fn, mixup_fn=None, ema=None):
    meter = AverageMeter()
    model.train()
    for images, target in loader:
        if mixup_fn is not None:
            images, target = mixup_fn(images, target)
        with torch.autocast("cuda"):
            output = model(images)
            loss = loss_fn(output, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if ema is not None:
            ema.update(model)
        meter.update(loss.item(), images.size(0))
    return meter.avg


@torch.inference_mode()
def validate(model, loader, loss_fn):
    loss_m, top1_m = AverageMeter(), AverageMeter()
    for images, target in loader:
        output = model(images)
        loss_m.update(loss_fn(output, target).item(), images.size(0))
        top1_m.update((output.argmax(1) == target).float().mean().item(), images.size(0))
    return loss_m.avg, top1_m.avg


@torch.inference_mode()
def show_top5(model, image):
    values, classes = model(image.unsqueeze(0)).softmax(dim=1).topk(5)
    return list(zip(classes[0].tolist(), values[0].tolist(), strict=True))


def main(loader_train, loader_val, epochs=90):
    model = timm.create_model(
        "convnext_tiny", pretrained=False, num_classes=NUM_CLASSES, drop_path_rate=0.1
    ).cuda()
    mixup_fn = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, num_classes=NUM_CLASSES)
    train_loss, val_loss = make_criterion(True, False, 0.1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    ema = ModelEmaV2(model, decay=0.9999)
    for epoch in range(epochs):
        print(epoch, train_epoch(model, loader_train, optimizer, train_loss, mixup_fn, ema))
        print(validate(ema.module, loader_val, val_loss))
