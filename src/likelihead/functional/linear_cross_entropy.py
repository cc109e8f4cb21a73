"""`torch.nn.functional.linear_cross_entropy`: a linear head and its cross-entropy, without the logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from likelihead.core.devices import check_devices
from likelihead.core.options import check_flag, check_real_number, shown
from likelihead.core.reduction import Normalizer, check_reduction
from likelihead.errors import DTypeError, ShapeError
from likelihead.functional._call import in_dtype, is_tensor, overridable, promoted, result_dtype
from likelihead.functional._class_index import blame_target
from likelihead.functional._linear import (
    as_chunk,
    as_compact,
    check_head,
    for_each_token,
    tokens_of,
    without_first,
)
from likelihead.functional._sample_weight import checked_weight
from likelihead.functional.cross_entropy import cross_entropy, is_served
from likelihead.guard.check import check_target
from likelihead.kernels import dispatch
from likelihead.kernels.ops import check_softmax_options

__all__ = ["linear_cross_entropy"]

_torchs = getattr(torch.nn.functional, "linear_cross_entropy", None)  # from torch 2.13 on


@overridable
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
    normalizer: Normalizer | None = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    logit_offset: Tensor | None = None,
    logit_scale: float = 1.0,
    sample_weight: Tensor | None = None,
    shift: bool = False,
    chunk_tokens: int | None = None,
    compact: bool | None = None,
) -> Tensor:
    r"""Cross-entropy of a linear head's logits, which never exist whole, in nats.

    .. math:: \ell(h, y) = w_y\,\bigl[\operatorname{logsumexp}(W h + b) - (W h + b)_y\bigr]

    Arguments, defaults, dtypes and answers are those of `torch.nn.functional.linear_cross_entropy` (which
    torch has from 2.13 on; this one serves every version), and the value is that of
    ``cross_entropy(linear(input, linear_weight, linear_bias), target)``. Tokens are served in chunks whose
    size does not depend on how many there are: beside the gradients there is the memory of one chunk. With a
    scalar loss the gradients are made in the forward pass, three matrix products in all, two where the head
    or the input is not trained; with ``"none"`` the backward pass computes the logits of a chunk again, four.
    Tokens that are left out take no product on a CPU.

    Args:
        input: hidden states.
        linear_weight: the head's weight, as in `torch.nn.Linear`; also an effective one, such as
            ``weight + scaling * B @ A`` of a low-rank adapter, whose factors then receive their gradients.
        target: class indices (int64, int32, int16, int8 or uint8), or probabilities.
        linear_bias: the head's bias.
        weight: a weight per class.
        reduction: ``"none"``, ``"sum"`` or ``"mean"``, as in `cross_entropy`.
        ignore_index: the class index whose tokens score 0 and are not counted; None is -100. Not for
            probabilities.
        label_smoothing: the share of each target that is spread evenly over all classes, in [0, 1].
        options: torch's ``LinearCrossEntropyOptions``; of these ``batch_chunk_size`` is followed. The others
            choose between memory and accuracy, of which the head's gradient has float32's here in any case.
        normalizer: a number or 0-d tensor that the mean divides by instead.
        z_loss: as in `cross_entropy`.
        softcap: as in `cross_entropy`.
        logit_offset: as in `cross_entropy`.
        logit_scale: multiplies the logits, before the cap.
        sample_weight: a number per token, not negative, that multiplies its loss; the mean divides by the sum
            of ``sample_weight * weight[target]``. A weight of 0 leaves the token out.
        shift: True where ``target`` holds the tokens that the model was given: each position is scored on
            the next one, and the last, which has none, is left out.
        chunk_tokens: how many tokens make a chunk; None for what fits 48 MiB on a CPU, 4096 elsewhere.
        compact: whether tokens that are left out leave before the products: None for yes on a CPU, and no
            elsewhere, where their number would have to be waited for; True everywhere, at the price of that
            wait (and not in a CUDA graph); False never. The results are the same.

    Shape:
        - input: ``[D]``, ``[N, D]``, or with leading dimensions, as ``[B, T, D]``.
        - linear_weight: ``[V, D]``; linear_bias: ``[V]``. Torch's ``[V, d1, ..., D]``, a head for each
          of several positions, is served through the logits.
        - target: the input's shape without D; probabilities have V in its place.
        - returns: the index targets' shape for ``"none"``, else 0-d; the input's dtype.

    Raises:
        ShapeError: hidden states and head of different width, a bias or target that does not fit.
        DTypeError: hidden states and head of different dtypes; ``ignore_index`` beside probabilities.
        OptionError: a chunk of no token; ``compact=True`` while a CUDA graph is captured.
        IndexError: a class index outside ``[0, V)`` that is not ``ignore_index`` (LH203).

    >>> hidden, head = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[20.0, 0.0], [0.0, 0.0]])
    >>> linear_cross_entropy(hidden, head, torch.tensor([0, 1]), reduction="none")
    tensor([2.0612e-09, 6.9315e-01])

    References:
        :doc:`/mathematics`.
    """
    shared: dict[str, Any] = {
        "linear_bias": linear_bias,
        "weight": weight,
        "reduction": reduction,
        "ignore_index": ignore_index,
        "label_smoothing": label_smoothing,
    }
    try:
        return _linear_cross_entropy(
            input,
            linear_weight,
            target,
            **shared,
            options=options,
            normalizer=normalizer,
            z_loss=z_loss,
            softcap=softcap,
            logit_offset=logit_offset,
            logit_scale=logit_scale,
            sample_weight=sample_weight,
            shift=shift,
            chunk_tokens=chunk_tokens,
            compact=compact,
        )
    except (ShapeError, DTypeError) as error:
        refusal = None if shift else _torchs_refusal(input, linear_weight, target, **shared)
        if refusal is None:
            raise
        raise type(refusal)(f"{refusal}\n{error}") from None


def _torchs_refusal(*args: Any, **kwargs: Any) -> Exception | None:
    """What torch's own function raises for the call, where this torch has it and it raises."""
    if _torchs is None:
        return None
    try:
        _torchs(*args, **kwargs)
    except (ValueError, RuntimeError, TypeError) as error:
        return error
    return None


def _linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None,
    weight: Tensor | None,
    reduction: str,
    ignore_index: int | None,
    label_smoothing: float,
    options: Any,
    normalizer: Normalizer | None,
    z_loss: float,
    softcap: float | None,
    logit_offset: Tensor | None,
    logit_scale: float,
    sample_weight: Tensor | None,
    shift: bool,
    chunk_tokens: int | None,
    compact: bool | None,
) -> Tensor:
    check_head(input, linear_weight, linear_bias)
    if not is_tensor(target):
        raise TypeError(
            f"target is {shown(target)}; expected a tensor of class indices, or of probabilities."
        )
    check_devices(
        "input",
        input,
        scalars=("normalizer",),
        linear_weight=linear_weight,
        target=target,
        linear_bias=linear_bias,
        weight=weight,
        logit_offset=logit_offset,
        normalizer=normalizer,
        sample_weight=sample_weight,
    )
    check_flag("shift", shift)
    check_real_number("logit_scale", logit_scale)
    check_reduction(reduction, normalizer)
    chunk, compact = as_chunk(chunk_tokens, options), as_compact(compact)
    classes, dtype = linear_weight.shape[0], result_dtype(input)
    probabilities = target.is_floating_point()
    if probabilities and ignore_index is not None:
        raise DTypeError(
            f"target is {target.dtype}, probabilities, and ignore_index is {ignore_index}, a class index; "
            "leave it out: a sample_weight of 0 leaves a token out."
        )
    ignored = -100 if ignore_index is None else ignore_index
    shared: dict[str, Any] = {
        "weight": weight,
        "ignore_index": ignored,
        "label_smoothing": label_smoothing,
        "z_loss": z_loss,
        "softcap": softcap,
        "logit_offset": logit_offset,
    }
    reduced: dict[str, Any] = {"reduction": reduction, "normalizer": normalizer}
    if linear_weight.dim() > 2:
        if shift or sample_weight is not None or not (chunk_tokens is compact is None):
            raise ShapeError(
                f"linear_weight has shape {list(linear_weight.shape)}, a head for each of several positions; "
                "shift, sample_weight, chunk_tokens and compact are for [V, D]."
            )
        return cross_entropy(
            _logits(input, linear_weight, linear_bias, logit_scale), target, **shared, **reduced
        )
    tokens = tokens_of(input, target, classes, shift=shift, ignore_index=ignored)
    shared["sample_weight"] = for_each_token(checked_weight(sample_weight, tokens.shape), tokens.shape)
    # What the logits are like, for what is asked of them: no memory.
    like = tokens.hidden.new_zeros(()).expand(tokens.hidden.shape[0], classes)
    served = classes > 0 and is_served(like, tokens.target, weight, -100, reduction, label_smoothing)
    if probabilities:
        served = served and promoted(input.dtype, target, weight) == input.dtype
    if not served:
        # Which torch refuses, or answers in a wider dtype than that of the products.
        loss = cross_entropy(
            _logits(tokens.hidden, linear_weight, linear_bias, logit_scale),
            tokens.target,
            **shared,
            **reduced,
        )
        return loss.reshape(tokens.shape) if reduction == "none" else loss
    check_softmax_options(classes, z_loss=z_loss, softcap=softcap, logit_offset=logit_offset)
    own = without_first(target, ignored) if shift else target
    check_target(
        tokens.target if probabilities else own,
        default_action="warn",
        num_classes=classes,
        ignore_index=ignored,
        sample_weight=shared["sample_weight"],
    )
    shared |= {"torch_nonfinite": True, "logit_scale": logit_scale, "chunk_tokens": chunk, "compact": compact}
    try:
        if reduction == "none":
            values = dispatch.linear_softmax_nll(
                tokens.hidden, linear_weight, tokens.target, linear_bias, **shared
            )
            return in_dtype(values.nll.reshape(tokens.shape), dtype)
        loss = dispatch.linear_softmax_loss(
            tokens.hidden,
            linear_weight,
            tokens.target,
            linear_bias,
            reduction=reduction,
            normalizer=normalizer,
            **shared,
        )
        return in_dtype(loss, dtype)
    except (IndexError, RuntimeError) as error:
        # The position in the caller's own target, not in the flat one.
        blame_target(error, own, classes, ignored)
        raise


def _logits(input: Tensor, weight: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """The logits, with torch's ``[N, V, d1, ...]`` for a weight of ``[V, d1, ..., D]``."""
    if weight.dim() > 2 and input.dim() != 2:
        raise ShapeError(
            f"input has shape {list(input.shape)} and linear_weight {list(weight.shape)}, a head for each of "
            "several positions; expected an input [N, D]."
        )
    flat = None if bias is None else bias.reshape(-1)
    logits = linear(input, weight.reshape(-1, weight.shape[-1]), flat)
    logits = logits.reshape(*input.shape[:-1], *weight.shape[:-1])
    return logits if scale == 1 else logits * scale
