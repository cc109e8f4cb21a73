"""`torch.nn`'s loss modules over `likelihead.functional`: the same names, arguments and answers.

Each subclasses torch's class, so ``isinstance`` checks, ``state_dict`` and pickles go on working. What they
add is keyword-only. The losses of overlapping regions (`DiceLoss` and the others) torch does not have.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from likelihead import functional
from likelihead.core.reduction import Normalizer
from likelihead.functional.overlap.options import Classes, Options, Task, check_number

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "DiceLoss",
    "FocalTverskyLoss",
    "GaussianNLLLoss",
    "JaccardLoss",
    "LovaszLoss",
    "MSELoss",
    "MultiLabelSoftMarginLoss",
    "NLLLoss",
    "OverlapLoss",
    "TverskyLoss",
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

    def forward(self, input: Tensor, target: Tensor, *, normalizer: Normalizer | None = None) -> Tensor:
        """The loss; ``normalizer`` replaces what the mean divides by."""
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
            inplace_backward=self.inplace_backward,
        )


class NLLLoss(torch.nn.NLLLoss):
    """Negative log-likelihood of class indices under log-probabilities; see `likelihead.functional.nll_loss`.

    Shape:
        - input: ``[C]``, ``[N, C]`` or ``[N, C, d1, ...]``, log-probabilities; target: class indices.

    >>> NLLLoss()(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([1]))
    tensor(0.2877)
    """

    def forward(self, input: Tensor, target: Tensor, *, normalizer: Normalizer | None = None) -> Tensor:
        """The loss; ``normalizer`` replaces what the mean divides by."""
        return functional.nll_loss(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            normalizer=normalizer,
        )


class BCELoss(torch.nn.BCELoss):
    """Binary cross-entropy of probabilities; see `likelihead.functional.binary_cross_entropy`.

    Shape:
        - input, target: any, the same.

    >>> BCELoss()(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor, *, normalizer: Normalizer | None = None) -> Tensor:
        """The loss; ``normalizer`` replaces what the mean divides by."""
        return functional.binary_cross_entropy(
            input, target, weight=self.weight, reduction=self.reduction, normalizer=normalizer
        )


class BCEWithLogitsLoss(torch.nn.BCEWithLogitsLoss):
    """Binary cross-entropy of logits; see `likelihead.functional.binary_cross_entropy_with_logits`.

    Shape:
        - input, target: any, the same.

    >>> BCEWithLogitsLoss()(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0]))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor, *, normalizer: Normalizer | None = None) -> Tensor:
        """The loss; ``normalizer`` replaces what the mean divides by."""
        return functional.binary_cross_entropy_with_logits(
            input,
            target,
            weight=self.weight,
            reduction=self.reduction,
            pos_weight=self.pos_weight,
            normalizer=normalizer,
        )


class MultiLabelSoftMarginLoss(torch.nn.MultiLabelSoftMarginLoss):
    """Mean binary cross-entropy of the labels; see `likelihead.functional.multilabel_soft_margin_loss`.

    Shape:
        - input, target: ``[N, L]``, the same.

    >>> MultiLabelSoftMarginLoss()(torch.zeros(1, 4), torch.tensor([[1.0, 0.0, 1.0, 0.0]]))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor, *, normalizer: Normalizer | None = None) -> Tensor:
        """The loss; ``normalizer`` replaces what the mean divides by."""
        return functional.multilabel_soft_margin_loss(
            input, target, weight=self.weight, reduction=self.reduction, normalizer=normalizer
        )


class MSELoss(torch.nn.MSELoss):
    """Squared error; see `likelihead.functional.mse_loss`.

    Shape:
        - input, target: any, the same.

    >>> MSELoss()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def forward(self, input: Tensor, target: Tensor, *, normalizer: Normalizer | None = None) -> Tensor:
        """The loss; ``normalizer`` replaces what the mean divides by."""
        return functional.mse_loss(input, target, reduction=self.reduction, normalizer=normalizer)


class GaussianNLLLoss(torch.nn.GaussianNLLLoss):
    """Negative log-likelihood under Gaussians; see `likelihead.functional.gaussian_nll_loss`.

    Shape:
        - input, target: any, the same; var: a number or a tensor that fits the input.

    >>> GaussianNLLLoss()(torch.zeros(1), torch.ones(1), torch.ones(1))
    tensor(0.5000)
    """

    def forward(
        self, input: Tensor, target: Tensor, var: Tensor | float, *, normalizer: Normalizer | None = None
    ) -> Tensor:
        """The loss; ``normalizer`` replaces what the mean divides by."""
        return functional.gaussian_nll_loss(
            input,
            target,
            var,
            full=self.full,
            eps=self.eps,
            reduction=self.reduction,
            normalizer=normalizer,
        )


class OverlapLoss(torch.nn.Module):
    """What the losses of overlapping regions share; use one of them.

    Args:
        from_logits, task, ignore_index, weight, per_image, classes, per_class, reduction: as in
            `likelihead.functional.tversky_loss`. ``weight`` moves with the module, and is part of its
            ``state_dict``, as in torch's losses.
        options: of the loss.
    """

    weight: Tensor | None
    function: ClassVar[Any]
    defaults: ClassVar[dict[str, Any]]

    def __init__(
        self,
        *,
        from_logits: bool,
        task: Task = "multiclass",
        ignore_index: int = -100,
        weight: Tensor | None = None,
        per_image: bool = False,
        classes: Classes = "present",
        per_class: bool = False,
        reduction: str = "mean",
        **options: Any,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if not hasattr(self, "defaults"):
            raise TypeError(f"{name} has no formula of its own; use DiceLoss or another of its kind.")
        unknown = sorted(set(options) - set(self.defaults))
        if unknown:
            raise TypeError(f"{name}() got an unexpected keyword argument {unknown[0]!r}")
        Options(
            from_logits=from_logits,
            task=task,
            ignore_index=ignore_index,
            mask=None,
            sample_weight=None,
            weight=weight,
            per_image=per_image,
            classes=classes,
            per_class=per_class,
            reduction=reduction,
            normalizer=None,
        )
        self.from_logits, self.task, self.ignore_index = from_logits, task, ignore_index
        self.per_image, self.classes, self.per_class = per_image, classes, per_class
        self.reduction = reduction
        self.options = self.defaults | options
        for key, value in self.options.items():
            if key != "hinge":
                check_number(key, value, above=0.0 if key == "gamma" else None)
        self.register_buffer("weight", weight)

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
        normalizer: Normalizer | None = None,
    ) -> Tensor:
        """The loss; ``mask``, ``sample_weight`` and ``normalizer`` are those of the function."""
        result: Tensor = type(self).function(
            input,
            target,
            from_logits=self.from_logits,
            task=self.task,
            ignore_index=self.ignore_index,
            mask=mask,
            sample_weight=sample_weight,
            weight=self.weight,
            per_image=self.per_image,
            classes=self.classes,
            per_class=self.per_class,
            reduction=self.reduction,
            normalizer=normalizer,
            **self.options,
        )
        return result

    def extra_repr(self) -> str:
        """The options that change the value."""
        told = {"from_logits": self.from_logits, "task": self.task, **self.options}
        return ", ".join(f"{name}={value!r}" for name, value in told.items())


class DiceLoss(OverlapLoss):
    """One minus the soft Dice coefficient; see `likelihead.functional.dice_loss`.

    Args:
        smooth: added to the numerator and the denominator; 0 by default.
        options: see `OverlapLoss`.

    >>> DiceLoss(from_logits=True)(torch.zeros(1, 2, 3), torch.tensor([[0, 0, 1]]))
    tensor(0.5143)
    """

    function = staticmethod(functional.dice_loss)
    defaults: ClassVar[dict[str, Any]] = {"smooth": 0.0}


class JaccardLoss(OverlapLoss):
    """One minus the soft Jaccard index; see `likelihead.functional.jaccard_loss`.

    Args:
        smooth: added to the numerator and the denominator; 0 by default.
        options: see `OverlapLoss`.

    >>> JaccardLoss(from_logits=True)(torch.zeros(1, 2, 3), torch.tensor([[0, 0, 1]]))
    tensor(0.6750)
    """

    function = staticmethod(functional.jaccard_loss)
    defaults: ClassVar[dict[str, Any]] = {"smooth": 0.0}


class TverskyLoss(OverlapLoss):
    """One minus the soft Tversky index; see `likelihead.functional.tversky_loss`.

    Args:
        alpha: how much a false positive counts; 1/2 by default.
        beta: how much a false negative counts; 1/2 by default.
        smooth: added to the numerator and the denominator; 0 by default.
        options: see `OverlapLoss`.

    >>> TverskyLoss(from_logits=True, alpha=0.3, beta=0.7)(torch.zeros(1, 2, 3), torch.tensor([[0, 0, 1]]))
    tensor(0.5123)
    """

    function = staticmethod(functional.tversky_loss)
    defaults: ClassVar[dict[str, Any]] = {"alpha": 0.5, "beta": 0.5, "smooth": 0.0}


class FocalTverskyLoss(OverlapLoss):
    """A power of one minus the soft Tversky index; see `likelihead.functional.focal_tversky_loss`.

    Args:
        alpha: how much a false positive counts; 0.3 by default.
        beta: how much a false negative counts; 0.7 by default.
        gamma: the exponent, above 0; 0.75 by default.
        smooth: added to the numerator and the denominator; 0 by default.
        options: see `OverlapLoss`.

    >>> FocalTverskyLoss(from_logits=True)(torch.zeros(1, 2, 3), torch.tensor([[0, 0, 1]]))
    tensor(0.6050)
    """

    function = staticmethod(functional.focal_tversky_loss)
    defaults: ClassVar[dict[str, Any]] = {"alpha": 0.3, "beta": 0.7, "gamma": 0.75, "smooth": 0.0}


class LovaszLoss(OverlapLoss):
    """The Lovász extension of the Jaccard loss; see `likelihead.functional.lovasz_loss`.

    Args:
        hinge: Lovász-hinge, for the logits of a binary or multilabel task; False by default.
        options: see `OverlapLoss`.

    >>> LovaszLoss(from_logits=True)(torch.zeros(1, 2, 3), torch.tensor([[0, 0, 1]]))
    tensor(0.5000)
    """

    function = staticmethod(functional.lovasz_loss)
    defaults: ClassVar[dict[str, Any]] = {"hinge": False}
