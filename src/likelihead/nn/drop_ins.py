"""`torch.nn`'s loss modules over `likelihead.functional`: the same names, arguments and answers.

Each subclasses torch's class, so ``isinstance`` checks, ``state_dict`` and pickles go on working. What they
add is keyword-only.
"""

from __future__ import annotations

import torch
from torch import Tensor

from likelihead import functional
from likelihead.core.reduction import Normalizer
from likelihead.nn._prior import keep_prior

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "MSELoss",
    "MultiLabelSoftMarginLoss",
    "NLLLoss",
]


class CrossEntropyLoss(torch.nn.CrossEntropyLoss):
    r"""Cross-entropy of logits; see `likelihead.functional.cross_entropy`.

    Args:
        weight, size_average, ignore_index, reduce, reduction, label_smoothing: as in
            `torch.nn.CrossEntropyLoss`.
        z_loss, softcap, logit_offset, inplace_backward: as in `likelihead.functional.cross_entropy`.
            ``logit_offset`` moves with the module and is not part of its ``state_dict``.

    Shape:
        - input: ``[C]``, ``[N, C]`` or ``[N, C, d1, ...]``; target: class indices or probabilities.

    >>> CrossEntropyLoss()(torch.zeros(2, 3), torch.tensor([0, 2]))
    tensor(1.0986)
    """

    logit_offset: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        *,
        z_loss: float = 0.0,
        softcap: float | None = None,
        logit_offset: Tensor | None = None,
        inplace_backward: bool = False,
    ) -> None:
        super().__init__(weight, size_average, ignore_index, reduce, reduction, label_smoothing)
        self.z_loss = z_loss
        self.softcap = softcap
        self.inplace_backward = inplace_backward
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
        if normalizer is where is sample_weight is None and self._is_plain():
            return functional.cross_entropy(input, target)
        return functional.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            normalizer=normalizer,
            z_loss=self.z_loss,
            softcap=self.softcap,
            logit_offset=self.logit_offset,
            where=where,
            sample_weight=sample_weight,
            inplace_backward=self.inplace_backward,
        )

    def _is_plain(self) -> bool:
        """Whether every option is the function's default: such calls have a short way."""
        tensors = self._buffers  # to ask the module for one takes longer than the rest
        return (
            tensors.get("weight", self) is tensors.get("logit_offset", self) is None
            and self.softcap is None
            and self.reduction == "mean"
            and self.ignore_index == -100
            and type(self.ignore_index) is int
            and self.label_smoothing == self.z_loss == 0
            and not self.inplace_backward
        )


class NLLLoss(torch.nn.NLLLoss):
    """Negative log-likelihood of class indices under log-probabilities; see `likelihead.functional.nll_loss`.

    Shape:
        - input: ``[C]``, ``[N, C]`` or ``[N, C, d1, ...]``, log-probabilities; target: class indices.

    >>> NLLLoss()(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([1]))
    tensor(0.2877)
    """

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        normalizer: Normalizer | None = None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """The loss; ``normalizer`` replaces what the mean divides by, ``sample_weight`` weighs examples."""
        return functional.nll_loss(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            normalizer=normalizer,
            sample_weight=sample_weight,
        )


class BCELoss(torch.nn.BCELoss):
    """Binary cross-entropy of probabilities; see `likelihead.functional.binary_cross_entropy`.

    Args:
        weight, size_average, reduce, reduction: as in `torch.nn.BCELoss`.
        label_smoothing, prior: as in `likelihead.functional.binary_cross_entropy_with_logits`. A ``prior``
            for each label moves with the module and is not part of its ``state_dict``.

    Shape:
        - input, target: any, the same.

    >>> BCELoss()(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]))
    tensor(0.6931)
    """

    prior: float | Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        label_smoothing: float = 0.0,
        prior: float | Tensor | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.label_smoothing = label_smoothing
        keep_prior(self, prior)

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        normalizer: Normalizer | None = None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """The loss; ``normalizer`` replaces what the mean divides by, ``sample_weight`` weighs examples."""
        return functional.binary_cross_entropy(
            input,
            target,
            weight=self.weight,
            reduction=self.reduction,
            normalizer=normalizer,
            label_smoothing=self.label_smoothing,
            prior=self.prior,
            sample_weight=sample_weight,
        )


class BCEWithLogitsLoss(torch.nn.BCEWithLogitsLoss):
    """Binary cross-entropy of logits; see `likelihead.functional.binary_cross_entropy_with_logits`.

    Args:
        weight, size_average, reduce, reduction, pos_weight: as in `torch.nn.BCEWithLogitsLoss`.
        label_smoothing, prior: as in `likelihead.functional.binary_cross_entropy_with_logits`. A ``prior``
            for each label moves with the module and is not part of its ``state_dict``.

    Shape:
        - input, target: any, the same.

    >>> BCEWithLogitsLoss()(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0]))
    tensor(0.6931)
    """

    prior: float | Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
        *,
        label_smoothing: float = 0.0,
        prior: float | Tensor | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction, pos_weight)
        self.label_smoothing = label_smoothing
        keep_prior(self, prior)

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        normalizer: Normalizer | None = None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """The loss; ``normalizer`` replaces what the mean divides by, ``sample_weight`` weighs examples."""
        if normalizer is sample_weight is None and self._is_plain():
            pos_weight = self._buffers["pos_weight"]
            if pos_weight is None:
                return functional.binary_cross_entropy_with_logits(input, target)
            return functional.binary_cross_entropy_with_logits(input, target, pos_weight=pos_weight)
        return functional.binary_cross_entropy_with_logits(
            input,
            target,
            weight=self.weight,
            reduction=self.reduction,
            pos_weight=self.pos_weight,
            normalizer=normalizer,
            label_smoothing=self.label_smoothing,
            prior=self.prior,
            sample_weight=sample_weight,
        )

    def _is_plain(self) -> bool:
        """See `CrossEntropyLoss`; a ``pos_weight`` has the short way too."""
        tensors = self._buffers
        return (
            tensors.get("weight", self) is None
            and "pos_weight" in tensors
            and self.__dict__.get("prior", self) is None
            and self.reduction == "mean"
            and self.label_smoothing == 0
        )


class MultiLabelSoftMarginLoss(torch.nn.MultiLabelSoftMarginLoss):
    """Mean binary cross-entropy of the labels; see `likelihead.functional.multilabel_soft_margin_loss`.

    Args:
        weight, size_average, reduce, reduction: as in `torch.nn.MultiLabelSoftMarginLoss`.
        label_smoothing, prior: as in `likelihead.functional.binary_cross_entropy_with_logits`. A ``prior``
            for each label moves with the module and is not part of its ``state_dict``.

    Shape:
        - input, target: ``[N, L]``, the same.

    >>> MultiLabelSoftMarginLoss()(torch.zeros(1, 4), torch.tensor([[1.0, 0.0, 1.0, 0.0]]))
    tensor(0.6931)
    """

    prior: float | Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        label_smoothing: float = 0.0,
        prior: float | Tensor | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.label_smoothing = label_smoothing
        keep_prior(self, prior)

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        normalizer: Normalizer | None = None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """The loss; ``normalizer`` replaces what the mean divides by, ``sample_weight`` weighs examples."""
        return functional.multilabel_soft_margin_loss(
            input,
            target,
            weight=self.weight,
            reduction=self.reduction,
            normalizer=normalizer,
            label_smoothing=self.label_smoothing,
            prior=self.prior,
            sample_weight=sample_weight,
        )


class MSELoss(torch.nn.MSELoss):
    """Squared error; see `likelihead.functional.mse_loss`.

    Shape:
        - input, target: any, the same.

    >>> MSELoss()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        normalizer: Normalizer | None = None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """The loss; ``normalizer`` replaces what the mean divides by, ``sample_weight`` weighs examples."""
        return functional.mse_loss(
            input, target, reduction=self.reduction, normalizer=normalizer, sample_weight=sample_weight
        )


class GaussianNLLLoss(torch.nn.GaussianNLLLoss):
    """Negative log-likelihood under Gaussians; see `likelihead.functional.gaussian_nll_loss`.

    Shape:
        - input, target: any, the same; var: a number or a tensor that fits the input.

    >>> GaussianNLLLoss()(torch.zeros(1), torch.ones(1), torch.ones(1))
    tensor(0.5000)
    """

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        var: Tensor | float,
        *,
        normalizer: Normalizer | None = None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """The loss; ``normalizer`` replaces what the mean divides by, ``sample_weight`` weighs examples."""
        return functional.gaussian_nll_loss(
            input,
            target,
            var,
            full=self.full,
            eps=self.eps,
            reduction=self.reduction,
            normalizer=normalizer,
            sample_weight=sample_weight,
        )
