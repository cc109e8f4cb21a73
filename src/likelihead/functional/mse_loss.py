"""`torch.nn.functional.mse_loss`: the Gaussian likelihood of fixed variance, without its constants."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch.nn.functional import mse_loss as torchs_mse_loss

from likelihead.core.devices import check_devices
from likelihead.core.reduction import Normalizer, check_reduction
from likelihead.core.reduction import reduce as reduce_values
from likelihead.core.sample_weight import weigh, weighted_count, without_left_out
from likelihead.functional._call import (
    is_real,
    is_tensor,
    legacy_reduction,
    overridable,
    promoted,
    result_dtype,
    torchs_answer,
)
from likelihead.functional._sample_weight import checked_weight
from likelihead.guard.check import check_call
from likelihead.kernels.ops import compute_dtype

__all__ = ["mse_loss"]


@overridable
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
    *,
    normalizer: Normalizer | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    r"""Squared error, elementwise.

    .. math:: \ell(\mu, y) = w\,(\mu - y)^2

    Arguments, defaults, dtypes, shapes and errors are those of `torch.nn.functional.mse_loss`; 16-bit inputs
    are computed and summed in float32. Twice the negative log-likelihood, in nats, of a Gaussian of variance
    1, less its constant.

    Args:
        input: predicted means.
        target: observations.
        size_average: deprecated in torch; see ``reduction``.
        reduce: deprecated in torch; see ``reduction``.
        reduction: ``"none"``, ``"sum"`` or ``"mean"``, which divides by the sum of ``weight`` where one is
            given.
        weight: a weight per element, of the input's shape.
        normalizer: a number or 0-d tensor that the mean divides by instead.
        sample_weight: a number per example, not negative, that multiplies its loss and what it counts: the
            shape of the result of ``"none"``, or as many of its first dimensions as it tells apart. One of 0
            leaves the example out.

    Shape:
        - input, target: the same; sizes that broadcast are taken as torch takes them, with a warning (LH302).
        - returns: the broadcast shape for ``"none"``, else 0-d.

    Raises:
        ValueError, RuntimeError: as torch does, with the guard's explanation where it has one.

    >>> mse_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    tensor(2.)
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_devices(
        "input", input, scalars=("target", "normalizer"), target=target, weight=weight, normalizer=normalizer
    )
    served = (
        is_real(input)
        and is_tensor(target)
        and target.is_floating_point()
        and target.device == input.device
        and reduction in ("none", "sum", "mean")
        and (weight is None or (is_real(weight) and weight.shape == input.shape))
        and _broadcast(input, target)
    )
    if not served:
        return torchs_answer(
            torchs_mse_loss,
            "mse",
            input,
            target,
            weight=weight,
            reduction=reduction,
            ours={"normalizer": normalizer, "sample_weight": None if sample_weight is None else True},
        )
    check_reduction(reduction, normalizer)
    shape = torch.broadcast_shapes(input.shape, target.shape)  # type: ignore[no-untyped-call]
    sample_weight = checked_weight(sample_weight, shape)
    check_call("mse", input, target, default_action="warn", weight=weight, sample_weight=sample_weight)
    if target.shape != input.shape and not torch.compiler.is_compiling():
        warnings.warn(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}): "
            "they are broadcast against each other, and the result is likely wrong. Give both the same size.",
            stacklevel=3,
        )
    dtype = promoted(result_dtype(input, one_op=weight is None), target, weight)
    wide = compute_dtype(dtype)
    mean, value = input.to(wide), target.to(wide)
    if sample_weight is not None:
        mean, value = (without_left_out(x.expand(shape), sample_weight) for x in (mean, value))
    error = (mean - value).square()
    count = None
    if weight is not None:
        error = error * weight.to(wide)
        count = weight.to(wide).sum()
    if sample_weight is not None:
        error = weigh(error, sample_weight)
        each = None if weight is None else weight.to(wide).expand(shape)
        count = weighted_count(each, sample_weight, shape)
    return reduce_values(error, reduction, count=count, normalizer=normalizer).to(dtype)


def _broadcast(a: Tensor, b: Tensor) -> bool:
    longer, shorter = sorted((a.shape, b.shape), key=len, reverse=True)
    pairs = zip(reversed(longer), reversed(shorter), strict=False)
    return all(m == n or 1 in (m, n) for m, n in pairs)
