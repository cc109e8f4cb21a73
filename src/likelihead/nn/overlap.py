"""The losses of overlapping regions as modules."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from likelihead import functional
from likelihead.core.reduction import Normalizer
from likelihead.functional.overlap.options import Classes, Options, Task, check_number

__all__ = ["DiceLoss", "FocalTverskyLoss", "JaccardLoss", "LovaszLoss", "OverlapLoss", "TverskyLoss"]


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
        # By its name, as torch's modules call theirs: what follows a run stands there.
        result: Tensor = getattr(functional, type(self).function.__name__)(
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
