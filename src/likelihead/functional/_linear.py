"""What the losses of a linear head share: the tensors as the op takes them, and what is refused in words."""

from __future__ import annotations

import math
import sys
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from likelihead.core.devices import check_dense
from likelihead.core.options import as_index, check_flag, shown
from likelihead.errors import BackendError, DTypeError, OptionError, ShapeError
from likelihead.functional._call import AUTOCAST, is_real, is_tensor

__all__ = [
    "HEAD",
    "Tokens",
    "as_chunk",
    "as_compact",
    "check_head",
    "for_each_token",
    "in_autocast",
    "in_rows",
    "next_tokens",
    "tokens_of",
    "without_first",
]

HEAD = ("input", "linear_weight", "linear_bias")


def check_head(hidden: Any, weight: Any, bias: Any, *, names: tuple[str, str, str] = HEAD) -> None:
    """Refuse a head that cannot be applied to the hidden states.

    Raises:
        TypeError: what is no tensor.
        DTypeError: dtypes that are not floating point, or not the same.
        ShapeError: widths that differ; a bias that is not one number per class.
        BackendError: sparse tensors; a plain and a distributed one.
    """
    of_hidden, of_weight, of_bias = names
    for name, tensor in ((of_hidden, hidden), (of_weight, weight)):
        if not is_tensor(tensor):
            raise TypeError(f"{name} is {shown(tensor)}; expected a tensor.")
        if not is_real(tensor):
            raise DTypeError(f"{name} is {tensor.dtype}; expected a dense floating-point tensor.")
        check_dense(**{name: tensor})
    if _is_distributed(hidden) != _is_distributed(weight):
        spread, plain = (of_hidden, of_weight) if _is_distributed(hidden) else (of_weight, of_hidden)
        raise BackendError(
            f"{spread} is a DTensor and {plain} a plain tensor; expected two of a kind. A head to which "
            "fully_shard was applied is whole in its own forward alone: apply it to the module that holds "
            f"head and loss, or pass {spread}.full_tensor()."
        )
    both = f"{of_hidden} has shape {list(hidden.shape)} and {of_weight} {list(weight.shape)}"
    if hidden.dim() < 1 or weight.dim() < 2:
        raise ShapeError(f"{both}; expected [..., D] and [V, D], as torch.nn.Linear(D, V).weight is.")
    width, taken = hidden.shape[-1], weight.shape[-1]
    if width != taken:
        turned = weight.dim() == 2 and width == weight.shape[0]
        raise ShapeError(
            f"{both}: the hidden states are {width} wide and the head takes {taken}"
            + (f"; pass {of_weight}.T." if turned else ".")
        )
    if hidden.dtype != weight.dtype and not _casts(hidden):
        raise DTypeError(
            f"{of_hidden} is {hidden.dtype} and {of_weight} {weight.dtype}; expected the same dtype: "
            f"{of_hidden}.to({of_weight}.dtype)."
        )
    if bias is None:
        return
    if not is_tensor(bias):
        raise TypeError(f"{of_bias} is {shown(bias)}; expected a tensor, or None.")
    check_dense(**{of_bias: bias})
    if bias.shape != weight.shape[:-1]:
        raise ShapeError(
            f"{of_bias} has shape {list(bias.shape)}; expected {list(weight.shape[:-1])}, one for each class."
        )
    if bias.dtype != weight.dtype and not _casts(hidden):
        raise DTypeError(
            f"{of_bias} is {bias.dtype} and {of_weight} {weight.dtype}; expected the same dtype: "
            f"{of_bias}.to({of_weight}.dtype)."
        )


def _is_distributed(tensor: Tensor) -> bool:
    return type(tensor).__name__ == "DTensor"  # torch.distributed is not imported for those who do without


def _casts(hidden: Tensor) -> bool:
    device = hidden.device.type
    return device in AUTOCAST and torch.is_autocast_enabled(device) and hidden.dtype != torch.float64


def in_autocast(tensor: Tensor, hidden: Tensor) -> Tensor:
    """The tensor in the dtype in which autocast would run a linear layer of the hidden states."""
    return tensor.to(torch.get_autocast_dtype(hidden.device.type)) if _casts(hidden) else tensor


def as_chunk(chunk_tokens: Any, options: Any = None) -> int:
    """How many tokens make a chunk, 0 for the default; ``options`` are torch's `LinearCrossEntropyOptions`.

    Raises:
        OptionError: a chunk of no token.
        DTypeError: no whole number; options of another type.
    """
    if options is not None and not hasattr(options, "batch_chunk_size"):
        raise DTypeError(
            f"options is {shown(options)}; expected torch.nn.LinearCrossEntropyOptions, or None. For the "
            "tokens of a chunk there is chunk_tokens."
        )
    if chunk_tokens is None:
        return min(int(getattr(options, "batch_chunk_size", None) or 0), sys.maxsize)
    number = as_index(chunk_tokens)
    if number is None:
        raise DTypeError(f"chunk_tokens is {shown(chunk_tokens)}; expected a number of tokens, or None.")
    if number < 1:
        raise OptionError(f"chunk_tokens is {number}; expected at least 1, or None for the default.")
    return min(number, sys.maxsize)


def as_compact(compact: Any) -> bool | None:
    """Whether tokens that do not count leave before the products.

    Raises:
        DTypeError: neither a truth value nor None.
    """
    if compact is not None:
        check_flag("compact", compact)
    return compact  # type: ignore[no-any-return]


class Tokens(NamedTuple):
    """Hidden states ``[N, D]``, targets ``[N]`` or probabilities ``[N, V]``, and the shape that N had."""

    hidden: Tensor
    target: Tensor
    shape: tuple[int, ...]


def tokens_of(
    hidden: Tensor,
    target: Tensor,
    classes: int,
    *,
    shift: bool,
    ignore_index: int,
    name: str = HEAD[0],
    probabilities: bool = True,
) -> Tokens:
    """Flatten the leading dimensions; with ``shift`` each position's target is the next token.

    ``probabilities`` is whether the caller takes them, for what a message may propose.

    Raises:
        ShapeError: targets that do not fit.
        DTypeError: a shift of probabilities.
        BackendError: a sparse target.
    """
    check_dense(target=target)
    shape = tuple(hidden.shape[:-1])
    both = f"target has shape {list(target.shape)} and {name} {list(hidden.shape)}"
    if shift:
        if target.is_floating_point():
            raise DTypeError(f"target is {target.dtype}; shift=True takes token ids, of an integer dtype.")
        if not shape or tuple(target.shape) != shape:
            raise ShapeError(
                f"{both}; with shift=True expected {list(shape)}: the tokens that the model was given."
            )
        target = next_tokens(target, ignore_index)
    flat = in_rows(hidden)
    if target.is_floating_point() and tuple(target.shape) == (*shape, classes):
        return Tokens(flat, target.reshape(-1, classes), shape)
    if tuple(target.shape) != shape:
        raise ShapeError(
            f"{both}; expected {list(shape)}, a class index for each hidden state"
            + (f", or probabilities {[*shape, classes]}." if probabilities else ".")
        )
    return Tokens(flat, target.reshape(-1), shape)


def in_rows(tensor: Tensor) -> Tensor:
    """The tensor with its leading dimensions as one; of no width too, where -1 would stand for any number."""
    return tensor.reshape(math.prod(tensor.shape[:-1]), tensor.shape[-1])


def for_each_token(sample_weight: Tensor | None, shape: tuple[int, ...]) -> Tensor | None:
    """Weights of a prefix of the tokens' shape, one for each in their order."""
    if sample_weight is None:
        return None
    each = [1] * (len(shape) - sample_weight.dim())
    return sample_weight.reshape(*sample_weight.shape, *each).expand(shape).reshape(-1)


def next_tokens(tokens: Tensor, ignore_index: int) -> Tensor:
    """Each position's next token; ``ignore_index`` at the end of a row, which small dtypes could not hold."""
    return pad(tokens[..., 1:].long(), (0, 1), value=ignore_index)


def without_first(tokens: Tensor, ignore_index: int) -> Tensor:
    """The tokens that a shift scores where they are: all but the first of a row."""
    return tokens.long().index_fill(-1, torch.zeros((), dtype=torch.long, device=tokens.device), ignore_index)
