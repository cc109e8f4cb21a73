"""The next-token loss on ``[B, T, V]`` logits as they come: no reshape, no copy, no shift by hand."""

from __future__ import annotations

from torch import Tensor

from likelihead.core.devices import check_devices
from likelihead.core.overwritten import note_same_memory, will_overwrite
from likelihead.core.reduction import Normalizer, check_reduction
from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.functional._call import is_class_index, is_real, is_tensor, overridable
from likelihead.functional._class_index import blame_target
from likelihead.functional._linear import next_tokens, without_first
from likelihead.functional._sample_weight import checked_weight
from likelihead.functional.cross_entropy import cross_entropy

__all__ = ["language_model_loss"]


@overridable
def language_model_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    shift: bool,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    logit_offset: Tensor | None = None,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
    sample_weight: Tensor | None = None,
    inplace_backward: bool = False,
) -> Tensor:
    r"""Cross-entropy of a language model: the mean NLL of the next token, in nats.

    .. math:: \ell = \frac{1}{N} \sum_{b,t} \operatorname{logsumexp}(z_{bt}) - z_{bt,\,y_{bt}}

    over the N targets that are not ignored; ``loss.exp()`` is the perplexity. The classes are along the last
    dimension, and the logits are read where they lie: with ``shift=True`` it is the targets that move, and
    the last position of each row is left out of the sum and of the count.

    Args:
        logits: what the model puts out for each position.
        targets: token ids (int64, int32, int16, int8 or uint8).
        shift: False where ``targets[:, t]`` is what ``logits[:, t]`` should predict. True where the targets
            are the model's own input, so that ``logits[:, t]`` predicts ``targets[:, t + 1]``. There is no
            default: a wrong guess trains a model that copies its input, or one that looks two tokens ahead.
        weight: a weight per token of the vocabulary.
        ignore_index: the target that is not scored and not counted: padding, or a prompt.
        label_smoothing: the share of each target that is spread evenly over the vocabulary.
        z_loss: adds ``z_loss * logsumexp(z) ** 2`` to each position that counts.
        softcap: replaces the logits by ``softcap * tanh(logits / softcap)``.
        logit_offset: ``[V]``, added to the logits (after ``softcap``).
        reduction: ``"mean"`` over the targets that count, ``"sum"``, or ``"none"``. The mean over no target
            is NaN, as in torch.
        normalizer: a number or 0-d tensor that the mean divides by instead: the token count of all
            micro-batches of a step, for one.
        sample_weight: ``[B]`` or ``[B, T]``: a number per sequence or position, not negative, that multiplies
            its loss and what it counts. With ``shift=True`` it belongs to the position of the logits.
        inplace_backward: let the gradient take the memory of the logits, which have no values after the call;
            see :func:`cross_entropy`. They must be contiguous.

    Shape:
        - logits: ``[B, T, V]``, or ``[..., T, V]``. Contiguous ones, and ``[T, B, V]`` ones that were
          transposed, are not copied; a slice such as ``logits[:, :-1]`` is.
        - targets: ``[B, T]``: the logits' shape without V.
        - returns: 0-d; the targets' shape for ``"none"``, 0 where a target does not count. The logits' dtype.

    Raises:
        ShapeError: the classes are not last (LH301), or the targets are longer or shorter than the logits, as
            tokens that were shifted already are.
        DTypeError: targets that cannot be token ids (LH202).
        ShapeError: a ``sample_weight`` that is not one number per sequence or position (LH603).
        IndexError: a token id outside ``[0, V)`` that is not ``ignore_index`` (LH203).

    >>> tokens = torch.tensor([[0, 1, 2, 1], [2, 0, 0, 0]])
    >>> logits = torch.zeros(2, 4, 3)
    >>> language_model_loss(logits, tokens, shift=True)
    tensor(1.0986)
    >>> language_model_loss(logits, tokens, shift=True, reduction="none")
    tensor([[1.0986, 1.0986, 1.0986, 0.0000],
            [1.0986, 1.0986, 1.0986, 0.0000]])

    References:
        :doc:`/language-models`.
    """
    check_devices(
        "logits",
        logits,
        scalars=("normalizer",),
        targets=targets,
        weight=weight,
        logit_offset=logit_offset,
        normalizer=normalizer,
    )
    _check(logits, targets, shift)
    check_reduction(reduction, normalizer)
    if weight is not None:
        _check_weight(weight, logits)
    if not 0 <= label_smoothing <= 1:
        raise OptionError(f"label_smoothing is {label_smoothing}; expected a share in [0, 1].")
    scored = next_tokens(targets, ignore_index) if shift else targets
    rows, flat, turned = _rows(logits, scored)
    sample_weight = checked_weight(sample_weight, scored.shape)
    if sample_weight is not None:
        each = sample_weight.reshape(*sample_weight.shape, *[1] * (scored.dim() - sample_weight.dim()))
        each = each.expand(scored.shape)
        sample_weight = (each.transpose(0, 1) if turned else each).flatten()
    inplace_backward = will_overwrite(inplace_backward, logits)
    if inplace_backward and not logits.is_contiguous() and not turned:
        raise OptionError(
            f"inplace_backward=True writes over the logits, but these {list(logits.shape)} logits with "
            f"strides {list(logits.stride())} are copied first; pass logits.contiguous(), or leave it out. "
            "With shift=True no slice is needed."
        )
    if inplace_backward:
        note_same_memory(rows, logits)
    try:
        loss = cross_entropy(
            rows,
            flat,
            weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
            normalizer=normalizer,
            z_loss=z_loss,
            softcap=softcap,
            logit_offset=logit_offset,
            sample_weight=sample_weight,
            inplace_backward=inplace_backward,
        )
    except IndexError as error:
        # The position in the caller's own targets, not in the flat ones.
        given = without_first(targets, ignore_index) if shift else targets
        blame_target(error, given, logits.shape[-1], ignore_index)
        raise
    if reduction != "none":
        return loss
    return loss.view(scored.shape[1], -1).transpose(0, 1) if turned else loss.view(scored.shape)


def _rows(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, bool]:
    """``[N, V]`` and ``[N]``, and whether time came before the batch in memory."""
    turned = logits.dim() == 3 and not logits.is_contiguous() and logits.transpose(0, 1).is_contiguous()
    if turned:
        logits, targets = logits.transpose(0, 1), targets.transpose(0, 1)
    return logits.flatten(0, -2), targets.flatten(), turned


def _check(logits: Tensor, targets: Tensor, shift: bool) -> None:
    if not is_real(logits) or not is_tensor(targets):
        what = getattr(logits, "dtype", type(logits).__name__)
        raise DTypeError(
            f"logits is {what} and targets {type(targets).__name__}; expected a floating-point tensor "
            "[B, T, V] and a tensor of token ids [B, T]."
        )
    if not is_class_index(targets):
        raise DTypeError(
            f"targets is {targets.dtype}; expected token ids of an integer dtype, such as int64.",
            code="LH202",
        )
    if logits.dim() < 2:
        raise ShapeError(f"logits has shape {list(logits.shape)}; expected [B, T, V].")
    if targets.shape != logits.shape[:-1]:
        raise _unfit(list(logits.shape), list(targets.shape), shift)


def _check_weight(weight: Tensor, logits: Tensor) -> None:
    if tuple(weight.shape) != (logits.shape[-1],):
        raise ShapeError(
            f"weight has shape {list(weight.shape)}; expected [{logits.shape[-1]}], one number per token "
            "of the vocabulary.",
            code="LH602",
        )
    if not weight.is_floating_point():
        raise DTypeError(f"weight is {weight.dtype}; expected the logits' {logits.dtype}.")


def _unfit(logits: list[int], targets: list[int], shift: bool) -> ShapeError:
    head = f"logits has shape {logits} and targets {targets}"
    *lead, length, _ = logits
    if len(targets) == len(logits) - 1 and targets == [logits[0], *logits[2:]]:
        return ShapeError(
            f"{head}: the classes are along dimension 1. Pass logits.movedim(1, -1), or take cross_entropy, "
            "which wants them there.",
            code="LH301",
        )
    if targets == [*lead, length - 1]:
        cut = "logits[..., :-1, :] with shift=False"
        return ShapeError(
            f"{head}: the targets are one shorter, as tokens are that were shifted already. "
            + (
                f"Pass all the tokens, or {cut}."
                if shift
                else f"Pass all the tokens with shift=True, or {cut}."
            )
        )
    if targets == [*lead, length + 1]:
        return ShapeError(
            f"{head}: the targets are one longer, as tokens are of which the model was given all but "
            "the last. Pass targets[..., 1:] with shift=False."
        )
    return ShapeError(f"{head}; expected targets {logits[:-1]}: one token id for each position.")
