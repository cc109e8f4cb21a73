"""`torch.nn.functional.gaussian_nll_loss`: the Gaussian likelihood of given means and variances."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import gaussian_nll_loss as torchs_gaussian_nll_loss

from likelihead.core.devices import check_devices
from likelihead.core.options import as_number
from likelihead.core.reduction import Normalizer, check_reduction
from likelihead.core.reduction import reduce as reduce_values
from likelihead.core.sample_weight import expand_sample_weight, weigh, weighted_count, without_left_out
from likelihead.functional._call import is_real, overridable, promoted, result_dtype, torchs_answer
from likelihead.functional._sample_weight import checked_weight
from likelihead.guard.check import check_call
from likelihead.kernels.ops import compute_dtype

__all__ = ["gaussian_nll_loss"]


@overridable
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
    *,
    normalizer: Normalizer | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    r"""Negative log-likelihood of observations under Gaussians, in nats.

    .. math:: \ell(\mu, \sigma^2, y) = \tfrac12\left[\log\sigma^2 + \frac{(\mu - y)^2}{\sigma^2}\right]
              \left(+ \tfrac12\log 2\pi\right)

    Arguments, defaults, shapes and errors are those of `torch.nn.functional.gaussian_nll_loss`; 16-bit
    inputs are computed and summed in float32. No accelerator is waited for: there a negative variance gives
    NaN instead of an error.

    Args:
        input: predicted means.
        target: observations.
        var: predicted variances: one number, or a tensor of the input's shape, or of that shape with the last
            dimension missing or one dimension of size 1.
        full: adds the constant :math:`\tfrac12\log 2\pi`.
        eps: variances below this are raised to it; their gradient passes through unchanged.
        reduction: ``"none"``, ``"sum"`` or ``"mean"``.
        normalizer: a number or 0-d tensor that the mean divides by instead.
        sample_weight: a number per example, not negative, that multiplies its loss and what it counts: the
            shape of the result of ``"none"``, or as many of its first dimensions as it tells apart. One of 0
            leaves the example out.

    Shape:
        - input, target: the same, or sizes that broadcast.
        - returns: the broadcast shape for ``"none"``, else 0-d.

    Raises:
        ValueError: a negative variance, or a size of ``var`` that does not fit.

    >>> gaussian_nll_loss(torch.tensor([1.0]), torch.tensor([3.0]), torch.tensor([4.0]), full=True)
    tensor(2.1121)

    References:
        Nix and Weigend 1994, "Estimating the mean and variance of the target probability distribution".
    """
    check_devices(
        "input",
        input,
        scalars=("target", "var", "normalizer"),
        target=target,
        var=var,
        normalizer=normalizer,
    )
    variance = torch.full_like(input, var) if isinstance(var, float) and is_real(input) else var
    sizes = _sizes(input, target, variance)
    shape = None if sizes is None else _broadcast(input, target, sizes)
    if (
        sizes is None
        or shape is None
        or not isinstance(variance, Tensor)
        or reduction not in ("none", "sum", "mean")
        or _has_negative(var)
        or not _bounds(eps)
    ):
        return torchs_answer(
            torchs_gaussian_nll_loss,
            "gaussian_nll",
            input,
            target,
            var=var,
            full=full,
            eps=eps,
            reduction=reduction,
            ours={"normalizer": normalizer, "sample_weight": None if sample_weight is None else True},
        )
    check_reduction(reduction, normalizer)
    sample_weight = checked_weight(sample_weight, shape)
    check_call("gaussian_nll", input, target, default_action="warn", sample_weight=sample_weight)
    dtype = promoted(result_dtype(input, one_op=False), target, variance)
    wide = compute_dtype(dtype)
    spread = variance.reshape(sizes).to(wide)
    # As torch has it: the clamp acts on the value alone.
    given = spread.detach()
    spread = torch.where(given < eps, spread - given + eps, spread)
    spread = torch.where(given < 0, math.nan, spread)
    mean, value = input.to(wide), target.to(wide)
    count = None
    if sample_weight is not None:
        # Of an example that is left out nothing may reach a gradient, and a variance of 0 would.
        left_out = expand_sample_weight(sample_weight.detach(), spread.expand(shape)) == 0
        spread = torch.where(left_out & ~spread.isfinite(), 1, spread)
        mean, value = (without_left_out(x.expand(shape), sample_weight) for x in (mean, value))
        count = weighted_count(None, sample_weight, shape)
    nll = 0.5 * (torch.log(spread) + (mean - value).square() / spread)
    if full:
        nll = nll + 0.5 * math.log(2 * math.pi)
    return reduce_values(weigh(nll, sample_weight), reduction, count=count, normalizer=normalizer).to(dtype)


def _sizes(input: object, target: object, variance: object) -> torch.Size | None:
    """The shape in which the variance broadcasts against the input, or None where torch has to refuse."""
    if not (
        isinstance(input, Tensor)
        and isinstance(target, Tensor)
        and isinstance(variance, Tensor)
        and all(is_real(t) for t in (input, target, variance))
    ):
        return None
    if variance.shape == input.shape:
        return variance.shape
    if input.shape[:-1] == variance.shape:
        return torch.Size([*variance.shape, 1])
    if input.dim() == variance.dim():
        differing = [v for i, v in zip(input.shape, variance.shape, strict=True) if i != v]
        if differing == [1]:
            return variance.shape
    return None


def _broadcast(input: Tensor, target: Tensor, variance: torch.Size) -> torch.Size | None:
    """The shape of a value per element, or None where torch has to refuse."""
    try:
        shape: torch.Size = torch.broadcast_shapes(input.shape, target.shape, variance)  # type: ignore[no-untyped-call]
    except RuntimeError:
        return None
    return shape


def _bounds(eps: object) -> bool:
    """Whether a variance can be clamped at it; torch says what is wrong with anything else."""
    return isinstance(eps, Tensor) or as_number(eps) is not None


def _has_negative(variance: Tensor | float) -> bool:
    if not isinstance(variance, Tensor):
        return variance < 0
    if variance.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    try:
        return bool((variance.detach() < 0).any())
    except RuntimeError:  # a tensor without values: fake, or batched by vmap
        return False
