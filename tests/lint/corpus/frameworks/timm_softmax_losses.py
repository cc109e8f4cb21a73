# case: timm's LabelSmoothingCrossEntropy on a softmax wrapper, its BinaryCrossEntropy on a sigmoid
import argparse

import timm
import timm.optim
import torch
import torch.nn as nn
from timm.loss import BinaryCrossEntropy, LabelSmoothingCrossEntropy
from timm.utils import AverageMeter, accuracy

parser = argparse.ArgumentParser(description="fine-tune a timm model")
parser.add_argument("--model", default="resnet50", type=str)
parser.add_argument("--num-classes", default=120, type=int)
parser.add_argument("--smoothing", type=float, default=0.1)
parser.add_argument("--lr", type=float, default=5e-4)


class DogClassifier(nn.Module):
    def __init__(self, name, num_classes):
        super().__init__()
        self.backbone = timm.create_model(name, pretrained=True, num_classes=num_classes)

    def forward(self, x):
        out = self.backbone(x)
        return nn.functional.softmax(out, dim=-1)


def train_one_epoch(model, loader, optimizer, smoothing):
    loss_fn = LabelSmoothingCrossEntropy(smoothing=smoothing)
    losses, top1 = AverageMeter(), AverageMeter()
    model.train()
    for images, target in loader:
        images, target = images.cuda(), target.cuda()
        output = model(images)
        loss = loss_fn(output, target)  # expect: LH101
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.update(loss.item(), images.size(0))
        top1.update(accuracy(output, target, topk=(1,))[0].item(), images.size(0))
    return losses.avg, top1.avg


def train_multilabel_step(images, target, optimizer, model=None):
    model = model or timm.create_model("vit_small_patch16_224", num_classes=20)
    criterion = BinaryCrossEntropy(smoothing=0.0)
    probs = torch.sigmoid(model(images))
    loss = criterion(probs, target)  # expect: LH106
    loss.backward()
    optimizer.step()
    return probs.detach() > 0.5


def main():
    args = parser.parse_args()
    model = DogClassifier(args.model, args.num_classes).cuda()
    optimizer = timm.optim.create_optimizer_v2(model, opt="adamw", lr=args.lr)
    return model, optimizer


if __name__ == "__main__":
    main()
