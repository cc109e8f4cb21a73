"""Log-probabilities of chosen tokens under a linear head, and its entropy: what policy gradients take."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from likelihead.core.devices import check_devices
from likelihead.core.options import check_flag, check_real_number, shown, whole_number
from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.functional._call import is_class_index, is_tensor, overridable
from likelihead.functional._class_index import blame_target
from likelihead.functional._linear import as_chunk, as_compact, check_head, tokens_of, without_first
from likelihead.guard.check import check_target
from likelihead.kernels import dispatch
from likelihead.kernels.ops import check_softmax_options

__all__ = ["TokenLogProbs", "check_temperature", "linear_log_probs"]

_NAMES = ("hidden", "weight", "bias")


class TokenLogProbs(NamedTuple):
    """What `linear_log_probs` returns, each of the target's shape, in nats, 0 where a token is ignored.

    ``log_probs`` is the log-probability of each target, ``entropy`` that of the distribution that it was
    chosen from, None where it was not asked for, and ``lse`` the logsumexp of that distribution's logits.
    """

    log_probs: Tensor
    entropy: Tensor | None
    lse: Tensor


@overridable
def linear_log_probs(
    hidden: Tensor,
    weight: Tensor,
    target: Tensor,
    *,
    bias: Tensor | None = None,
    temperature: float = 1.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    entropy: bool = True,
    ignore_index: int = -100,
    shift: bool = False,
    chunk_tokens: int | None = None,
    compact: bool | None = None,
) -> TokenLogProbs:
    r"""Log-probability of each target and entropy of each distribution, of a linear head, without its logits.

    .. math:: \log p_y = z_y - \operatorname{logsumexp}(z), \quad H = -\sum_k p_k \log p_k, \quad
        z = \tfrac{1}{T}\, c \tanh\bigl(s (W h + b) / c\bigr)

    in nats, with T the ``temperature``, c the ``softcap`` and s the ``logit_scale``. Log-probabilities,
    entropy and logsumexp are differentiable by hidden states, weight and bias, together or each alone; the
    backward pass computes the logits again, a chunk at a time, so that neither pass holds ``[N, V]`` numbers.
    PPO, GRPO and DPO are a few lines on it: :doc:`/reinforcement`.

    Args:
        hidden: hidden states.
        weight: the head's weight, as in `torch.nn.Linear`.
        target: the tokens that were chosen (int64, int32, int16, int8 or uint8).
        bias: the head's bias.
        temperature: divides the logits, after the cap: that of the sampler, where the log-probabilities are
            to be those of the policy that sampled.
        softcap: replaces the logits by ``softcap * tanh(logits / softcap)``.
        logit_scale: multiplies the logits, before the cap.
        entropy: False leaves the entropy out, and returns None in its place.
        ignore_index: the target whose tokens have 0 everywhere: padding, or a prompt. They take no product on
            a CPU.
        shift: True where ``target`` holds the tokens that the model was given: each position is scored on
            the next one, and the last, which has none, is left out.
        chunk_tokens: how many tokens make a chunk; None for what fits 48 MiB on a CPU, 4096 elsewhere.
        compact: as in `linear_cross_entropy`.

    Shape:
        - hidden: ``[D]``, ``[N, D]``, or with leading dimensions, as ``[B, T, D]``.
        - weight: ``[V, D]``; bias: ``[V]``.
        - target: the shape of ``hidden`` without D.
        - returns: three tensors of the target's shape; float32, or float64 for float64.

    Raises:
        ShapeError: hidden states and head of different width, a bias or target that does not fit.
        DTypeError: hidden states and head of different dtypes; targets that are no class indices (LH202).
        OptionError: a temperature or cap that is not positive, or not finite; a chunk of no token.
        IndexError: a class index outside ``[0, V)`` that is not ``ignore_index`` (LH203).

    >>> hidden, head = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[20.0, 0.0], [0.0, 0.0]])
    >>> found = linear_log_probs(hidden, head, torch.tensor([0, 1]))
    >>> found.log_probs
    tensor([-2.0612e-09, -6.9315e-01])
    >>> found.entropy
    tensor([4.3284e-08, 6.9315e-01])

    References:
        :doc:`/mathematics`.
    """
    check_head(hidden, weight, bias, names=_NAMES)
    check_devices("hidden", hidden, weight=weight, target=target, bias=bias)
    if weight.dim() != 2:
        raise ShapeError(f"weight has shape {list(weight.shape)}; expected [V, D], one head for all tokens.")
    if not is_tensor(target):
        raise TypeError(f"target is {shown(target)}; expected a tensor of class indices.")
    if not is_class_index(target):
        raise DTypeError(
            f"target is {target.dtype}; expected class indices of an integer dtype, such as int64.",
            code="LH202",
        )
    check_flag("shift", shift)
    check_flag("entropy", entropy)
    check_real_number("logit_scale", logit_scale)
    ignored = whole_number("ignore_index", ignore_index)
    temperature = check_temperature(temperature)
    classes = weight.shape[0]
    check_softmax_options(classes, softcap=softcap)
    tokens = tokens_of(
        hidden, target, classes, shift=shift, ignore_index=ignored, name="hidden", probabilities=False
    )
    own = without_first(target, ignored) if shift else target
    check_target(own, default_action="warn", num_classes=classes, ignore_index=ignored)
    try:
        found = dispatch.linear_softmax_nll(
            tokens.hidden,
            weight,
            tokens.target,
            bias,
            entropy=entropy,
            ignore_index=ignored,
            softcap=None if softcap is None else softcap / temperature,
            logit_scale=logit_scale / temperature,
            chunk_tokens=as_chunk(chunk_tokens),
            compact=as_compact(compact),
        )
    except (IndexError, RuntimeError) as error:
        # The position in the caller's own target, not in the flat one.
        blame_target(error, own, classes, ignored)
        raise
    shape, of_each = tokens.shape, found.entropy
    return TokenLogProbs(
        -found.nll.reshape(shape),
        None if of_each is None else of_each.reshape(shape),
        found.lse.reshape(shape),
    )


def check_temperature(temperature: float) -> float:
    """The temperature, as a number that logits can be divided by.

    Raises:
        DTypeError: no number.
        OptionError: not positive, or not finite.
    """
    check_real_number("temperature", temperature)
    if not 0 < temperature < math.inf:
        raise OptionError(
            f"temperature is {temperature!r}; expected a positive number, 1 for the logits as they are."
        )
    return temperature
