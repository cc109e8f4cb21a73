"""The focal losses as modules."""

from __future__ import annotations

import torch
from torch import Tensor

from likelihead import functional
from likelihead.core.reduction import Normalizer, check_reduction
from likelihead.kernels.ops import check_focal_gamma
from likelihead.nn._prior import keep_prior

__all__ = ["BinaryFocalLoss", "FocalLoss"]


class FocalLoss(torch.nn.Module):
    r"""Focal loss of a softmax over classes, from logits; see `likelihead.functional.focal_loss`.

    Args:
        gamma: how strongly confident right predictions are weighed down; not negative.
        weight, ignore_index, softcap, logit_offset, reduction: as in `likelihead.functional.focal_loss`. Of
            the two tensors only ``weight`` is part of the ``state_dict``, as in `torch.nn.CrossEntropyLoss`.

    Shape:
        - input: ``[C]``, ``[N, C]`` or ``[N, C, d1, ...]``; target: class indices.

    >>> FocalLoss(2.0)(torch.tensor([[2.0, 0.0]]), torch.tensor([0]))
    tensor(0.0018)
    """

    weight: Tensor | None
    logit_offset: Tensor | None

    def __init__(
        self,
        gamma: float = 2.0,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        softcap: float | None = None,
        logit_offset: Tensor | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_focal_gamma(gamma)
        check_reduction(reduction)
        self.gamma = gamma
        self.ignore_index = ignore_index
        self.softcap = softcap
        self.reduction = reduction
        self.register_buffer("weight", weight)
        self.register_buffer("logit_offset", logit_offset, persistent=False)

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        normalizer: Normalizer | None = None,
        where: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """The loss; ``normalizer`` replaces what the mean divides by.

        ``where`` is False for a class that the example cannot have, ``sample_weight`` a number per example.
        """
        return functional.focal_loss(
            input,
            target,
            self.gamma,
            weight=self.weight,
            ignore_index=self.ignore_index,
            softcap=self.softcap,
            logit_offset=self.logit_offset,
            where=where,
            sample_weight=sample_weight,
            reduction=self.reduction,
            normalizer=normalizer,
        )

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"gamma={self.gamma}, reduction={self.reduction!r}"


class BinaryFocalLoss(torch.nn.Module):
    r"""Focal loss of yes-or-no outcomes, from logits; see `likelihead.functional.binary_focal_loss`.

    Args:
        gamma: how strongly confident right predictions are weighed down; not negative.
        alpha: the share of the weight that a yes has, in [0, 1]; None weighs both outcomes with 1.
        label_smoothing, prior, reduction: as in `likelihead.functional.binary_focal_loss`.

    Shape:
        - input, target: any, the same.

    >>> BinaryFocalLoss(2.0, alpha=0.25)(torch.tensor([2.0, -1.0]), torch.tensor([1.0, 1.0]))
    tensor(0.0880)
    """

    prior: float | Tensor | None

    def __init__(
        self,
        gamma: float = 2.0,
        *,
        alpha: float | None = None,
        label_smoothing: float = 0.0,
        prior: float | Tensor | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_focal_gamma(gamma)
        check_reduction(reduction)
        self.gamma = gamma
        self.alpha = alpha
        self.label_smoothing = label_smoothing
        self.reduction = reduction
        keep_prior(self, prior)

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        normalizer: Normalizer | None = None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """The loss; ``mask`` is False where a label is left out."""
        return functional.binary_focal_loss(
            input,
            target,
            self.gamma,
            alpha=self.alpha,
            mask=mask,
            label_smoothing=self.label_smoothing,
            prior=self.prior,
            sample_weight=sample_weight,
            reduction=self.reduction,
            normalizer=normalizer,
        )

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"gamma={self.gamma}, alpha={self.alpha}, reduction={self.reduction!r}"
