"""The networks of images: a small U-Net for masks, a small convolutional net for labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, pad

from likelihead.likelihoods import Bernoulli, Categorical, Likelihood, MultiLabel
from likelihead.train.config import TrainConfig
from likelihead.train.images.schema import IGNORE, ImageSchema

__all__ = ["DTYPE", "ConvNet", "ImageNet", "UNet", "build_model", "criterion", "plain"]

DTYPE = torch.float32


class _Block(nn.Sequential):
    """Two convolutions. Batch normalisation is pointwise once trained, so that tiles agree with wholes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        layers: list[nn.Module] = []
        for width in (inputs, outputs):
            layers += [
                nn.Conv2d(width, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class ImageNet(nn.Module):
    """A network whose last layer is a likelihood's own head.

    Attributes:
        head: the last layer.
        widths: channels of each level.
        stride: what heights and widths must divide by, to be seen whole.
        reach: how many pixels around a place can change what the network says of it.
    """

    head: nn.Linear
    widths: tuple[int, ...]
    stride: int
    reach: int

    def forward(self, images: Tensor) -> Tensor:
        """The logits."""
        raise NotImplementedError


class UNet(ImageNet):
    """Down to coarser levels and up again, each level joined with the one it came from.

    Images of any size are continued at their right and lower edges to the next multiple of ``stride``.

    Args:
        channels: of the images.
        widths: channels of each level, the finest first.
        likelihood: the head's.

    Shape:
        - images: ``[B, channels, H, W]``.
        - returns: ``[B, K, H, W]``, with the classes last in memory.
    """

    def __init__(self, channels: int, widths: Sequence[int], likelihood: Likelihood) -> None:
        super().__init__()
        self.widths = tuple(widths)
        levels = len(self.widths)
        self.stride = 2 ** (levels - 1)
        # Two pixels for each block on the way down, at its level's size, and two on the way up; then what
        # pooling and enlarging shift.
        spread = 2 * sum(2**level for level in range(levels)) + 2 * sum(
            2**level for level in range(levels - 1)
        )
        self.reach = -(-(spread + 2 * (self.stride - 1)) // self.stride) * self.stride
        self.down = nn.ModuleList(
            _Block(i, o) for i, o in zip((channels, *self.widths[:-1]), self.widths, strict=True)
        )
        self.up = nn.ModuleList(
            _Block(fine + coarse, fine)
            for fine, coarse in zip(self.widths[:-1], self.widths[1:], strict=True)
        )
        self.head = likelihood.head(self.widths[0])

    def forward(self, images: Tensor) -> Tensor:
        """The logits of each pixel."""
        height, width = images.shape[-2:]
        x = pad(images, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        x = x.contiguous(memory_format=torch.channels_last)
        kept: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else max_pool2d(x, 2))
            kept.append(x)
        for level in reversed(range(len(self.up))):
            larger = interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.up[level](torch.cat([larger, kept[level]], 1))
        logits = cast(Tensor, self.head(x.movedim(1, -1))).movedim(-1, 1)
        return logits[..., :height, :width]


class ConvNet(ImageNet):
    """Blocks with pooling between them, the strongest answer of each channel, and a hidden layer.

    Args:
        channels: of the images.
        widths: channels of each level.
        likelihood: the head's.

    Shape:
        - images: ``[B, channels, H, W]``.
        - returns: ``[B, K]``.
    """

    def __init__(self, channels: int, widths: Sequence[int], likelihood: Likelihood) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.stride, self.reach = 1, 0
        self.blocks = nn.ModuleList(
            _Block(i, o) for i, o in zip((channels, *self.widths[:-1]), self.widths, strict=True)
        )
        last = self.widths[-1]
        self.hidden = nn.Sequential(nn.Conv2d(last, 2 * last, 1), nn.ReLU(inplace=True))
        self.head = likelihood.head(2 * last)

    def forward(self, images: Tensor) -> Tensor:
        """The logits of each image."""
        x = images.contiguous(memory_format=torch.channels_last)
        for level, block in enumerate(self.blocks):
            # A picture that has become one pixel is not halved again.
            x = block(max_pool2d(x, 2) if level and min(x.shape[-2:]) > 1 else x)
        return cast(Tensor, self.head(self.hidden(x).amax((-2, -1))))


def build_model(config: TrainConfig, schema: ImageSchema, likelihood: Likelihood) -> ImageNet:
    """The network, with random weights from torch's global generator and a head of zeros."""
    make = UNet if schema.task == "segmentation" else ConvNet
    model = make(schema.channels, config.hidden, likelihood).to(DTYPE)
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def criterion(
    config: TrainConfig,
    schema: ImageSchema,
    class_weights: tuple[float, ...],
    label_prior: tuple[float, ...] = (),
) -> Likelihood:
    """The likelihood that is trained: with class weights and label smoothing."""
    smoothing = config.label_smoothing
    weights = torch.tensor(class_weights, dtype=DTYPE) if class_weights else None
    if schema.task == "multilabel":
        prior = label_prior or None
        return MultiLabel(schema.num_outputs, pos_weight=weights, label_smoothing=smoothing, prior=prior)
    if schema.is_binary:
        return Bernoulli(
            pos_weight=None if weights is None else weights[0],
            label_smoothing=smoothing,
            prior=label_prior[0] if label_prior else None,
        )
    return Categorical(schema.num_outputs, weight=weights, label_smoothing=smoothing, ignore_index=IGNORE)


def plain(config: TrainConfig, schema: ImageSchema) -> Likelihood:
    """The likelihood that is reported: without weights and smoothing, so that all NLLs compare."""
    return criterion(replace(config, label_smoothing=0.0), schema, ())
