"""Per-example weights of the drop-in functions: checked as far as the guard's level asks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from likelihead.core.sample_weight import check_sample_weight, check_sample_weight_values
from likelihead.guard.switch import current

__all__ = ["checked_weight"]

_PLAIN = (torch.Tensor, torch.nn.Parameter)


def checked_weight(sample_weight: object, shape: Sequence[int]) -> Tensor | None:
    """One number per example, or None; the values are looked at where those of the targets are: at *full*.

    Raises:
        DTypeError: no tensor, or complex.
        ShapeError: its shape is no prefix of that of the values (LH603).
        OptionError: a weight that is negative or not finite.
    """
    weight = check_sample_weight(sample_weight, shape)
    if weight is None or torch.compiler.is_compiling() or current().level != "full":
        return weight
    if (
        type(weight) in _PLAIN
        and not weight.is_meta
        and not torch._C._are_functorch_transforms_active()
        and torch._C._len_torch_dispatch_stack() == 0
        and not (weight.is_cuda and torch.cuda.is_current_stream_capturing())
    ):
        check_sample_weight_values(weight.detach())
    return weight
