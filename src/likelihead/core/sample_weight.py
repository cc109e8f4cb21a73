r"""Per-example weights: what ``sample_weight=`` may be, and how it enters a value and a count.

A weight of 2 is the example twice over; a weight of 0 is the example left out, whatever its logits and its
target hold. So the values are multiplied, and the mean divides by the weights of what counts:

.. math:: \frac{\sum_i s_i \ell_i}{\sum_i s_i n_i}

with :math:`\ell_i` the value of an element and :math:`n_i` what it counts without a weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from likelihead.errors import DTypeError, OptionError, ShapeError

__all__ = [
    "check_sample_weight",
    "check_sample_weight_values",
    "expand_sample_weight",
    "weigh",
    "weighted_count",
    "without_left_out",
]


def check_sample_weight(sample_weight: object, shape: Sequence[int]) -> Tensor | None:
    """Refuse what is not one number per example: its shape must be a prefix of that of the values.

    It lines up with the first dimension, never with the last, so that sizes which happen to agree cannot
    mislead. Costs no synchronisation and reads no values.

    Args:
        sample_weight: the argument, or None. Whole numbers and truth values count as the numbers they are.
        shape: the shape of the per-example values, as ``reduction="none"`` returns them.

    Raises:
        DTypeError: no tensor, or complex.
        ShapeError: the shape is no prefix of ``shape`` (LH603).

    >>> check_sample_weight(torch.ones(2), (2, 3)).shape
    torch.Size([2])
    """
    if sample_weight is None:
        return None
    if not isinstance(sample_weight, Tensor):
        raise DTypeError(
            f"sample_weight is a {type(sample_weight).__name__}; expected a torch.Tensor, one number per "
            "example. Use torch.as_tensor(sample_weight)."
        )
    if sample_weight.is_complex():
        raise DTypeError(f"sample_weight is {sample_weight.dtype}; expected real numbers.")
    have, values = tuple(sample_weight.shape), tuple(shape)
    if have == values[: len(have)] and (have or not values):
        return sample_weight
    raise ShapeError(_shape_message(have, values), code="LH603")


def _shape_message(have: tuple[int, ...], values: tuple[int, ...]) -> str:
    wanted = " or ".join(str(list(values[:end])) for end in range(1, len(values) + 1)) or "[]"
    message = f"sample_weight has shape {list(have)} and the values {list(values)}; expected {wanted}. "
    without_ones = tuple(size for size in have if size != 1)
    if not have:
        message += "One number for all examples is a factor of the loss: multiply the loss."
    elif without_ones == values[: len(without_ones)] and without_ones:
        message += f"Use sample_weight.reshape({list(without_ones)})."
    elif len(have) < len(values) and have == values[-len(have) :]:
        message += (
            "It lines up with the last dimension, and belongs to the first: weights of the classes or labels "
            "are weight=."
        )
    else:
        message += "It holds one number for each example, in the order of the first dimension."
    return message


@torch.no_grad()
def check_sample_weight_values(sample_weight: Tensor | None) -> None:
    """Refuse weights that are negative, infinite or NaN. Reads the values, so it waits for a GPU.

    Raises:
        OptionError: with the first offending position and value.
    """
    if sample_weight is None or sample_weight.numel() == 0 or sample_weight.dtype == torch.bool:
        return
    low, high = (bound.item() for bound in torch.aminmax(sample_weight))  # NaN where there is one
    if low >= 0 and high < math.inf:
        return
    wrong = ~torch.isfinite(sample_weight) | (sample_weight < 0)
    position = tuple(int(index) for index in wrong.nonzero()[0])
    where = "" if not position else f"[{', '.join(map(str, position))}]"
    raise OptionError(
        f"sample_weight{where} is {sample_weight[position].item()}; expected finite numbers that are not "
        "negative. A weight of 0 leaves the example out."
    )


def expand_sample_weight(sample_weight: Tensor, like: Tensor) -> Tensor:
    """The weights in the dtype of ``like``, as a view that broadcasts along its trailing dimensions.

    Raises:
        RuntimeError: the two are on different devices.

    >>> expand_sample_weight(torch.tensor([1, 2]), torch.zeros(2, 3, 4)).shape
    torch.Size([2, 1, 1])
    """
    if sample_weight.device != like.device:
        # A number on the meta device has no value: torch lets some such mixes pass.
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"{like.device} and {sample_weight.device}! (sample_weight is on {sample_weight.device})"
        )
    trailing = [1] * (like.dim() - sample_weight.dim())
    return sample_weight.to(like.dtype).reshape((*sample_weight.shape, *trailing))


def weigh(values: Tensor, sample_weight: Tensor | None) -> Tensor:
    """Per-example values times their weights; 0 where the weight is, also where the value is not finite.

    The derivative by a weight is the value, at a weight of 0 too.

    >>> weigh(torch.tensor([1.0, math.nan]), torch.tensor([2.0, 0.0]))
    tensor([2., 0.])
    """
    if sample_weight is None:
        return values
    weight = expand_sample_weight(sample_weight, values)
    # The product of 0 and NaN is NaN, and so is its derivative: the value is replaced before.
    return weight * torch.where((weight == 0) & ~torch.isfinite(values), 0, values)


def without_left_out(values: Tensor, sample_weight: Tensor | None) -> Tensor:
    """Logits or targets with 0 in an example of weight 0: nothing that overflows there enters a gradient.

    Weights that are learnt have the value as their derivative: then only what is not finite becomes 0.

    >>> without_left_out(torch.tensor([math.nan, math.inf]), torch.tensor([0, 1]))
    tensor([0., inf])
    """
    if sample_weight is None or not values.is_floating_point():
        return values
    weight = expand_sample_weight(sample_weight.detach(), values)
    left_out = weight == 0
    if sample_weight.requires_grad:
        # The derivative by the weight is the value, which must be there where it can be had.
        left_out = left_out & ~torch.isfinite(values)
    return torch.where(left_out, 0, values)


def weighted_count(counts: Tensor | None, sample_weight: Tensor, shape: Sequence[int]) -> Tensor:
    """The sum of ``s_i * n_i``: what the mean divides by.

    Args:
        counts: what each value counts without weights, of ``shape``: truth values or numbers; None where each
            counts 1.
        sample_weight: as `check_sample_weight` takes it.
        shape: the shape of the per-example values.

    Returns:
        A 0-d tensor, in float32 at least; float64 where the weights or the counts are.

    >>> weighted_count(torch.tensor([[True, False], [True, True]]), torch.tensor([3.0, 0.5]), (2, 2))
    tensor(4.)
    """
    dtype = torch.promote_types(sample_weight.dtype, torch.float32)
    if counts is not None:
        dtype = torch.promote_types(dtype, counts.dtype)
    weight = sample_weight.to(dtype)
    if counts is None:
        each = math.prod(shape[sample_weight.dim() :])
        return weight.sum() * each
    weight = expand_sample_weight(weight, counts.to(dtype))
    return torch.where(weight == 0, 0, weight * counts).sum()
