"""What the likelihoods of numbers share: a NaN is a missing target, and every quantity is elementwise.

A subclass says how the head's output becomes the parameters of one target, and gives the negative
log-likelihood and its derivatives; this module gives them only numbers that are there.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from likelihead.core.links import at_least_float32, with_spare_digits
from likelihead.core.options import whole_number
from likelihead.core.reduction import Reduction
from likelihead.core.sample_weight import expand_sample_weight, weigh, weighted_count, without_left_out
from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.guard.check import check_call
from likelihead.guard.switch import current
from likelihead.likelihoods.base import Likelihood
from likelihead.likelihoods.checks import (
    can_read,
    check_in_domain,
    check_observed_weight,
    check_same_shape,
    check_tensor,
    check_weight,
)

__all__ = ["RealLikelihood"]


class RealLikelihood(Likelihood):
    """One number for each target, or for each of K outputs; NaN where it is missing.

    A missing target scores 0 with gradient 0, whatever the logits there are, and is not counted.

    Attributes:
        num_outputs: how many numbers an example has; the width of `head`. With more than one, they are the
            last dimension of the targets; with one, targets have any shape.
        parameters_of_target: how many numbers the head puts out for one target; if more than one, they lie
            along the last dimension of the logits.
    """

    num_outputs: int
    parameters_of_target: int = 1
    described: ClassVar[str]
    """What is along the last dimension of the logits, in words, where there is something."""
    domain_code: ClassVar[str | None] = "LH801"
    reads_targets: ClassVar[bool] = False
    """Whether targets on the CPU are read on each call, as class indices are."""

    def __init__(self, *, num_outputs: int = 1, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        num_outputs = whole_number("num_outputs", num_outputs)
        if num_outputs < 1:
            raise OptionError(f"num_outputs is {num_outputs}; expected at least 1.")
        self.num_outputs = num_outputs

    # -- from the head's output to the numbers of one target ---------------------------------------

    def _along_last(self, logits: Tensor) -> tuple[Tensor, ...]:
        """The numbers that the head puts out for each target, each in the targets' shape."""
        check_tensor("logits", logits)
        if not logits.is_floating_point():
            raise DTypeError(
                f"logits is {logits.dtype}; expected floating-point values, as a linear layer puts out."
            )
        if self.parameters_of_target == 1:
            return (logits,)
        if logits.dim() == 0 or logits.shape[-1] != self.parameters_of_target:
            raise ShapeError(
                f"logits has shape {list(logits.shape)}; {self.described} takes "
                f"[..., {self.parameters_of_target}]."
            )
        return logits.unbind(-1)

    def _together(self, parts: tuple[Tensor, ...]) -> Tensor:
        """The inverse of `_along_last`."""
        return parts[0] if self.parameters_of_target == 1 else torch.stack(parts, dim=-1)

    @staticmethod
    def _wide(logits: Tensor) -> Tensor:
        """The logits in the dtype that the NLL is computed in."""
        return with_spare_digits(logits)

    @abstractmethod
    def _nll(self, outputs: tuple[Tensor, ...], y: Tensor) -> Tensor:
        """The NLL of each number, from the head's outputs in their wide dtype."""

    @abstractmethod
    def _gradient(self, outputs: tuple[Tensor, ...], y: Tensor) -> tuple[Tensor, ...]:
        """Its derivative by each of the outputs."""

    # -- how well it fits -------------------------------------------------------------------------

    def _check(
        self, logits: Tensor, target: Tensor, sample_weight: Tensor | None
    ) -> tuple[tuple[Tensor, ...], Tensor, Tensor | None]:
        """Refuse what cannot be scored.

        Returns:
            the outputs and the numbers, wide and with 0 where nothing is scored; and which numbers are there,
            None where all are.
        """
        outputs = self._along_last(logits)
        check_same_shape(outputs[0], target)
        self._check_outputs("target", target)
        if target.is_complex() or target.dtype == torch.bool:
            raise DTypeError(f"target is {target.dtype}; expected real numbers. A yes or no is a Bernoulli.")
        check_weight(sample_weight, target.shape)
        there = ~target.isnan() if target.is_floating_point() else None
        known = target if there is None else torch.where(there, target, 0)
        known = without_left_out(known, sample_weight)
        counting = _counting(there, sample_weight, target)
        check_call("mse", outputs[0], known, default_action="raise", mask=counting)
        # Under a compiler nothing is read, and the level is not asked for.
        if can_read(target) and current().level in (("cheap", "full") if self.reads_targets else ("full",)):
            check_in_domain(target, self.target_domain, mask=counting, code=self.domain_code)
        wide = self._wide(logits)
        if there is not None:
            # An output beside a missing target may be anything: no NaN may enter the gradient.
            wide = torch.where(there if len(outputs) == 1 else there.unsqueeze(-1), wide, 0)
        wide = without_left_out(wide, sample_weight)
        return self._along_last(wide), known.to(wide.dtype), there

    def nll(self, logits: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        """Negative log-likelihood of each number, in nats, every constant included.

        A NaN target is missing: it scores 0 with gradient 0, and so does an example of weight 0.

        Shape:
            - returns: the target's shape, float32 at least.

        Raises:
            ShapeError: the target's shape is not that of the predictions: it would broadcast (LH302); its
                last size is not ``num_outputs``, where that is more than 1; or the ``sample_weight`` is not
                one number per example (LH603).
            DTypeError: a bool or complex target.
        """
        outputs, y, there = self._check(logits, target, sample_weight)
        nll = self._nll(outputs, y)
        if there is not None:
            nll = torch.where(there, nll, 0)
        return weigh(nll, sample_weight).to(at_least_float32(logits).dtype)

    def count(self, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor | int:
        """The number of targets that are not missing; with ``sample_weight``, the sum of their weights."""
        there = ~target.isnan() if target.is_floating_point() else None
        if sample_weight is not None:
            check_weight(sample_weight, target.shape)
            return weighted_count(there, sample_weight, target.shape)
        return target.numel() if there is None else there.sum()

    def residual(self, logits: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        """The gradient of ``nll(logits, target).sum()`` with respect to the logits, from its closed form.

        Returns:
            The logits' shape, float32 at least; 0 where nothing is scored.
        """
        outputs, y, there = self._check(logits, target, sample_weight)
        parts = self._gradient(outputs, y)
        if there is not None:
            parts = tuple(torch.where(there, part, 0) for part in parts)
        parts = tuple(weigh(part, sample_weight) for part in parts)
        return self._together(parts).to(at_least_float32(logits).dtype)

    def _check_outputs(self, name: str, values: Tensor) -> None:
        """Refuse numbers that are not the likelihood's K outputs; one output alone has any shape."""
        if self.num_outputs > 1 and (values.dim() == 0 or values.shape[-1] != self.num_outputs):
            raise ShapeError(
                f"{name} has shape {list(values.shape)}; expected [..., {self.num_outputs}], an example's "
                f"num_outputs={self.num_outputs} numbers in the last place. With num_outputs=1 any shape is "
                "taken, each number on its own."
            )

    # -- targets alone ----------------------------------------------------------------------------

    def _observed(self, targets: Tensor, sample_weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """The targets ``[M, num_outputs]`` and their weights in float64; weight and target 0 where missing.

        Raises:
            ShapeError: the outputs are not along the last dimension.
            TargetError: a number outside the target domain.
        """
        check_tensor("targets", targets)
        if targets.is_complex() or targets.dtype == torch.bool:
            raise DTypeError(
                f"targets are {targets.dtype}; expected real numbers. A yes or no is a Bernoulli."
            )
        self._check_outputs("targets", targets)
        weight = check_observed_weight(sample_weight, targets.shape)
        y = targets.double()
        counting = ~y.isnan()
        if weight is not None:
            counting = counting & (expand_sample_weight(weight, y) != 0)
        check_in_domain(y, self.target_domain, mask=counting, code=self.domain_code)
        whole = torch.ones_like(y) if weight is None else expand_sample_weight(weight, y).expand_as(y)
        y, whole = (torch.where(counting, x, 0).reshape(-1, self.num_outputs) for x in (y, whole))
        return y, whole

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"num_outputs={self.num_outputs}, reduction={self.reduction!r}"


def _counting(there: Tensor | None, sample_weight: Tensor | None, like: Tensor) -> Tensor | None:
    """Which targets are neither missing nor of weight 0."""
    if sample_weight is None:
        return there
    weighted = (expand_sample_weight(sample_weight.detach(), like.double()) != 0).expand_as(like)
    return weighted if there is None else there & weighted
