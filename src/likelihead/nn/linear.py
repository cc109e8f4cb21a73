"""The head and its cross-entropy as one module."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.loss import _WeightedLoss

from likelihead import functional
from likelihead.core.reduction import Normalizer
from likelihead.errors import OptionError, ShapeError

__all__ = ["LinearCrossEntropyLoss"]


class _Head(_WeightedLoss):
    """What `torch.nn.LinearCrossEntropyLoss` holds, for versions of torch that do not have it."""

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
    ) -> None:
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise ShapeError(
                f"weight has shape {list(weight.shape)}; expected [{num_classes}], one number per class."
            )
        if not 0 <= label_smoothing <= 1:
            raise OptionError(f"label_smoothing is {label_smoothing}; expected a share in [0, 1].")
        super().__init__(weight, reduction=reduction)
        self.num_classes, self.out_features = num_classes, out_features
        self.ignore_index, self.label_smoothing, self.options = ignore_index, label_smoothing, options
        rows = prod(out_features, start=num_classes)
        self.linear = torch.nn.Linear(in_features, rows, bias=bias, device=device, dtype=dtype)


_Base: type = getattr(torch.nn, "LinearCrossEntropyLoss", _Head)


class LinearCrossEntropyLoss(_Base):  # type: ignore[misc]
    r"""A linear head and the cross-entropy of its logits; see `likelihead.functional.linear_cross_entropy`.

    The head's parameters are ``linear.weight`` and ``linear.bias``, as in `torch.nn.LinearCrossEntropyLoss`,
    which torch has from 2.13 on.

    Args:
        in_features: the width D of the hidden states.
        num_classes: V.
        out_features: sizes of further dimensions, a head for each position in them: through the logits.
        bias: whether the head has one.
        device: of the head.
        dtype: of the head.
        reduction: ``"none"``, ``"sum"`` or ``"mean"``.
        weight: a weight per class.
        ignore_index: the class index that is left out; None is -100.
        label_smoothing: the share of each target that is spread over all classes.
        options: torch's ``LinearCrossEntropyOptions``, of which ``batch_chunk_size`` is followed.
        z_loss: as in the function.
        softcap: as in the function.
        logit_scale: as in the function.
        chunk_tokens: as in the function.
        compact: as in the function.

    Shape:
        - input: ``[D]``, ``[N, D]`` or ``[B, T, D]``; target: its shape without D, or with V in its place.

    >>> loss = LinearCrossEntropyLoss(4, 3)
    >>> torch.nn.init.zeros_(loss.linear.weight).shape
    torch.Size([3, 4])
    >>> loss(torch.ones(2, 4), torch.tensor([0, 2])).detach()
    tensor(1.0986)
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
        z_loss: float = 0.0,
        softcap: float | None = None,
        logit_scale: float = 1.0,
        chunk_tokens: int | None = None,
        compact: bool | None = None,
    ) -> None:
        super().__init__(
            in_features,
            num_classes,
            out_features=out_features,
            bias=bias,
            device=device,
            dtype=dtype,
            reduction=reduction,
            weight=weight,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            options=options,
        )
        self.z_loss, self.softcap, self.logit_scale = z_loss, softcap, logit_scale
        self.chunk_tokens, self.compact = chunk_tokens, compact

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        normalizer: Normalizer | None = None,
        sample_weight: Tensor | None = None,
        shift: bool = False,
    ) -> Tensor:
        """The loss of hidden states; ``shift`` where the targets are the tokens that the model was given."""
        rows = (self.num_classes, *self.out_features)
        head, bias = self.linear.weight, self.linear.bias
        return functional.linear_cross_entropy(
            input,
            head.reshape(*rows, head.shape[-1]),
            target,
            linear_bias=None if bias is None else bias.reshape(rows),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
            normalizer=normalizer,
            z_loss=self.z_loss,
            softcap=self.softcap,
            logit_scale=self.logit_scale,
            sample_weight=sample_weight,
            shift=shift,
            chunk_tokens=self.chunk_tokens,
            compact=self.compact,
        )
