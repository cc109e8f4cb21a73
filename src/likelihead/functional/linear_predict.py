"""The likeliest token of a linear head, without its logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from likelihead.core.devices import check_devices
from likelihead.errors import ShapeError
from likelihead.functional._call import overridable
from likelihead.functional._linear import as_chunk, check_head, in_rows
from likelihead.kernels import dispatch

__all__ = ["linear_predict", "top_class"]


@overridable
def linear_predict(
    hidden: Tensor, weight: Tensor, *, bias: Tensor | None = None, chunk_tokens: int | None = None
) -> Tensor:
    r"""The class of the largest logit of each token, :math:`\arg\max_k (W h + b)_k`, in chunks of tokens.

    What ``linear(hidden, weight, bias).argmax(-1)`` is, for accuracies and greedy decoding, in the memory of
    one chunk of logits and with one matrix product. A cap or a temperature changes nothing about it; an
    offset of the logits belongs into the bias. Of equal logits the first is taken. There is no gradient.

    Args:
        hidden: hidden states; to spare the product for tokens that do not matter, ``hidden[mask]``.
        weight: the head's weight, as in `torch.nn.Linear`.
        bias: the head's bias.
        chunk_tokens: how many tokens make a chunk; None for what fits 48 MiB on a CPU, 4096 elsewhere.

    Shape:
        - hidden: ``[D]``, ``[N, D]``, or with leading dimensions, as ``[B, T, D]``.
        - weight: ``[V, D]``; bias: ``[V]``.
        - returns: the shape of ``hidden`` without D, int64.

    Raises:
        ShapeError: hidden states and head of different width, a bias that does not fit, or no class.
        DTypeError: hidden states and head of different dtypes.
        OptionError: a chunk of no token.

    >>> hidden, head = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> linear_predict(hidden, head)
    tensor([0, 1])
    """
    check_head(hidden, weight, bias, names=("hidden", "weight", "bias"))
    check_devices("hidden", hidden, weight=weight, bias=bias)
    if weight.dim() != 2 or not weight.shape[0]:
        raise ShapeError(
            f"weight has shape {list(weight.shape)}; expected [V, D], one head for all tokens, of at least "
            "one class."
        )
    return top_class(hidden, weight, bias, chunk_tokens=as_chunk(chunk_tokens))


def top_class(hidden: Tensor, weight: Tensor, bias: Tensor | None, **options: Any) -> Tensor:
    """The prediction of the op, of checked tensors in any leading shape."""
    rows = in_rows(hidden)
    any_class = rows.new_zeros(rows.shape[0], dtype=torch.long)  # that of the values beside it
    with torch.no_grad():
        found = dispatch.linear_softmax_nll(rows, weight, any_class, bias, prediction=True, **options)
    predicted: Tensor = found.prediction  # type: ignore[assignment]
    return predicted.reshape(hidden.shape[:-1])
