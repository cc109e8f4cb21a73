# case: a fastai Learner on a model with a softmax at its end and CrossEntropyLossFlat
# ruff: noqa: F403, F405
import torch.nn as nn
from fastai.vision.all import *

path = Path("data/leaves")


def conv_block(ni, nf):
    return nn.Sequential(nn.Conv2d(ni, nf, 3, stride=2, padding=1), nn.BatchNorm2d(nf), nn.ReLU())


def get_model(n_classes):
    return nn.Sequential(
        conv_block(3, 16),
        conv_block(16, 32),
        conv_block(32, 64),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, n_classes),
        nn.Softmax(dim=1),
    )


def get_dls(size=128, bs=64):
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_items=get_image_files,
        splitter=RandomSplitter(valid_pct=0.2, seed=42),
        get_y=parent_label,
        item_tfms=Resize(size),
        batch_tfms=aug_transforms(mult=1.5),
    )
    return block.dataloaders(path, bs=bs)


def main():
    dls = get_dls()
    model = get_model(dls.c)
    learn = Learner(dls, model, loss_func=CrossEntropyLossFlat(), metrics=error_rate)  # expect: LH101
    learn.fit_one_cycle(5, 3e-3)
    interp = ClassificationInterpretation.from_learner(learn)
    print(interp.most_confused(min_val=3))
    learn.export("leaves.pkl")


if __name__ == "__main__":
    main()
