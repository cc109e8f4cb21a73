r"""What the categorical likelihood makes of a chunk's logits: its values, and over the logits their gradient.

The negative log-likelihood is the backend's softmax kernel; entropy and prediction are that of its kernel of
scores, where it has one and the options are those that the kernel takes, else torch's operators.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from likelihead.kernels.fused.calls import index_error_at
from likelihead.kernels.fused.linear_chunks import (
    SOFTMAX,
    Layer,
    Wanted,
    in_chunks,
    looks,
    rows_at_once,
    rows_that,
)
from likelihead.kernels.fused.products import is_small
from likelihead.kernels.ops import LinearValues, compute_dtype

__all__ = ["Asked", "Head", "Upstream", "is_weighted", "run"]


class Head(NamedTuple):
    """A head, what it is applied to and scored against, in the order of the ops.

    Attributes:
        options: those of `SoftmaxNLL`, in the order of the ops.
        scale: multiplies the logits, before everything else.
        chunk: the tokens of a chunk; 0 for as many as the default takes.
        compact: whether the tokens that do not count leave before the products; None for on a processor.
        backend: whose softmax it is.
    """

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None
    target: Tensor
    options: tuple[Any, ...]
    scale: float
    chunk: int
    compact: bool | None
    backend: str


class Upstream(NamedTuple):
    """What the gradients are multiplied by: one number or one per token of each value; None for nothing."""

    nll: Tensor | None = None
    lse: Tensor | None = None
    entropy: Tensor | None = None
    log_prob: Tensor | None = None

    def at(self, at: slice | Tensor) -> Upstream:
        """Those of some tokens."""
        return Upstream(*(up if up is None or up.numel() == 1 else up[at] for up in self))


class Asked(NamedTuple):
    """Which values are, beside the two that there always are."""

    entropy: bool = False
    log_prob: bool = False
    prediction: bool = False


_FAR = -1e30  # a gap that no probability is left of, and that times 0 is 0


@torch.no_grad()
def run(
    head: Head, upstream: Upstream, wanted: Wanted, asked: Asked
) -> tuple[LinearValues, tuple[Tensor | None, ...]]:
    """The values, 0 where a token is left out, and the gradients of hidden states, weight and bias.

    Raises:
        IndexError: a class index out of range, on a processor; nothing has been computed.
    """
    with torch.autocast(head.hidden.device.type, enabled=False):
        if not is_small(head.hidden, head.weight, head.bias):
            return _run(head, upstream, wanted, asked)
        # What is over in no time is computed without the roundings of 16-bit logits and gradients.
        bias = None if head.bias is None else head.bias.float()
        target = head.target.float() if head.target.is_floating_point() else head.target
        wide = head._replace(hidden=head.hidden.float(), weight=head.weight.float(), bias=bias, target=target)
        values, gradients = _run(wide, upstream, wanted, asked)
        return values, tuple(None if g is None else g.to(head.hidden.dtype) for g in gradients)


def _run(
    head: Head, upstream: Upstream, wanted: Wanted, asked: Asked
) -> tuple[LinearValues, tuple[Tensor | None, ...]]:
    if looks(head.hidden.device):
        _check_target(head)
    rows = rows_that(_kept(head), head.compact)
    if rows.kept is not None:
        # The kernel sees to that of nll.
        upstream = Upstream(upstream.nll, *(None if up is None else rows.masked(up) for up in upstream[1:]))
    tokens, wide = head.hidden.shape[0], compute_dtype(head.hidden.dtype)
    names = ("nll", "lse", *(name for name, asks in asked._asdict().items() if asks))
    values = {
        name: rows.new(head.hidden, tokens, dtype=torch.long if name == "prediction" else wide)
        for name in names
    }

    def score_(logits: Tensor, at: slice | Tensor) -> None:
        found = _scores_(logits, head, at, upstream.at(at), asked)
        for name, value in values.items():
            value[at] = getattr(found, name)

    layer = Layer(head.hidden, head.weight, head.bias, head.scale, head.chunk)
    gradients = in_chunks(layer, rows, wanted, score_)
    return LinearValues(**{name: rows.masked(value) for name, value in values.items()}), gradients


def _check_target(head: Head) -> None:
    if head.target.is_floating_point():
        return
    target, classes, ignore_index = head.target.long(), head.weight.shape[0], head.options[2]
    outside = ((target < 0) | (target >= classes)) & (target != ignore_index)
    if outside.any():
        at = int(outside.int().argmax())
        raise index_error_at(int(target[at]), at, target.shape, classes, ignore_index)


def _kept(head: Head) -> Tensor | None:
    """Which tokens count, or None where nothing leaves one out."""
    ignore_index, sample_weight = head.options[2], head.options[9]
    kept = None if sample_weight is None else sample_weight != 0
    if not head.target.is_floating_point():
        counts = head.target.long() != ignore_index  # first: in uint8 a class 156 would equal -100
        kept = counts if kept is None else kept & counts
    return kept


_PER_TOKEN = (7, 9)  # of the options: where, sample_weight


def _options_at(options: tuple[Any, ...], at: slice | Tensor) -> tuple[Any, ...]:
    return tuple(
        option[at] if place in _PER_TOKEN and option is not None else option
        for place, option in enumerate(options)
    )


def is_weighted(options: tuple[Any, ...]) -> bool:
    """Whether nll is anything but the target's log-probability, negated."""
    weight, smoothing, _, z_loss, _, _, _, _, gamma, sample_weight = options
    return weight is not None or sample_weight is not None or bool(smoothing or z_loss or gamma)


def _unweighted(options: tuple[Any, ...]) -> tuple[Any, ...]:
    """The options of the distribution alone."""
    _, _, ignore_index, _, softcap, offset, torch_nonfinite, where, _, _ = options
    return (None, 0.0, ignore_index, 0.0, softcap, offset, torch_nonfinite, where, 0.0, None)


def _takes_scores(target: Tensor, options: tuple[Any, ...]) -> bool:
    """Whether ``softmax_scores_`` takes them: class indices, and no option but ignore_index and softcap."""
    others = (*options[:2], options[3], *options[5:])
    return not target.is_floating_point() and not any(isinstance(o, Tensor) or o for o in others)


def _scores_(
    logits: Tensor, head: Head, at: slice | Tensor, upstream: Upstream, asked: Asked
) -> LinearValues:
    """The values of a chunk; over its logits, where there is an upstream gradient, their gradient."""
    target, options = head.target[at], _options_at(head.options, at)
    of_distribution = asked.entropy or asked.prediction or upstream.entropy is not None
    of_target = asked.log_prob or upstream.log_prob is not None
    if of_distribution and not of_target and _takes_scores(target, options):
        scores_ = SOFTMAX[head.backend].scores(logits.device)
        if scores_ is not None:
            nll, lse, entropy, prediction = scores_(
                *upstream[:3], logits, target, options[2], options[4], asked.prediction
            )
            return LinearValues(nll, lse, entropy, None, prediction)
    if not (of_distribution or of_target):
        return LinearValues(*_nll_(logits, target, options, upstream, head.backend))
    parts = [
        _part_(
            logits[part], target[part], _options_at(options, part), upstream.at(part), asked, head, scratch
        )
        for part, scratch in _parts(logits)
    ]
    columns = (None if c[0] is None else torch.cat(c) for c in zip(*parts, strict=True))
    return LinearValues(*columns)  # type: ignore[arg-type]


def _nll_(
    logits: Tensor, target: Tensor, options: tuple[Any, ...], upstream: Upstream, backend: str
) -> tuple[Tensor, Tensor]:
    if all(up is None for up in upstream):
        return SOFTMAX[backend].values(logits, target, *options)
    return SOFTMAX[backend].gradient_(upstream.nll, upstream.lse, 1.0, logits, target, *options)


def _part_(
    z: Tensor,
    target: Tensor,
    options: tuple[Any, ...],
    upstream: Upstream,
    asked: Asked,
    head: Head,
    scratch: list[Tensor],
) -> LinearValues:
    """`_scores_` of some rows, by torch's operators: what needs the logits comes ahead of their gradient."""
    entropy = log_prob = prediction = slope = of_target = None
    if asked.prediction:
        prediction = _largest(_bent(z, options))[1].squeeze(1)
    if asked.log_prob or upstream.log_prob is not None:
        up = upstream.log_prob
        of_target = z if up is None else z.clone()
        one = Upstream() if up is None else Upstream(-up)
        log_prob = -_nll_(of_target, target, _unweighted(options), one, head.backend)[0]
    if asked.entropy or upstream.entropy is not None:
        entropy, slope = _entropy(z, options, upstream.entropy, scratch)
    nll, lse = _nll_(z, target, options, upstream, head.backend)
    if upstream.log_prob is not None and of_target is not None:
        z.add_(of_target)
    if slope is not None:
        gradient, factor = slope
        if z.dtype == gradient.dtype:
            z.addcmul_(gradient, factor)
        else:
            z.copy_(gradient.mul_(factor).add_(z))
    return LinearValues(nll, lse, entropy, log_prob, prediction)


def _parts(logits: Tensor) -> Iterator[tuple[slice, list[Tensor]]]:
    """Some rows at a time, and memory for two tensors of their size."""
    rows, classes = logits.shape
    step = min(rows_at_once(logits, 2), max(1, rows))
    scratch = [logits.new_empty(step, classes, dtype=compute_dtype(logits.dtype)) for _ in range(2)]
    for start in range(0, rows, step):
        part = slice(start, min(start + step, rows))
        yield part, [of[: part.stop - start] for of in scratch]


def _bent(z: Tensor, options: tuple[Any, ...]) -> Tensor:
    """The logits as they enter the softmax."""
    _, _, _, _, softcap, offset, _, where, _, _ = options
    wide = compute_dtype(z.dtype)
    if softcap:
        z = torch.tanh(z.to(wide) / softcap).mul_(softcap)
    if offset is not None:
        z = z.to(wide) + offset.to(wide)
    return z if where is None else z.masked_fill(~where, -torch.inf)


def _entropy(
    logits: Tensor, options: tuple[Any, ...], upstream: Tensor | None, scratch: list[Tensor]
) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    r"""The entropy of each row, and its gradient by the logits, times ``upstream``, as two factors.

    With d the gap of a logit to the largest, :math:`H = \operatorname{log1p}(\sum' e^{-d}) + \sum p d`, of
    terms that are not negative; its derivative is :math:`p_j (d_j - \sum p d)`. Each operator is a pass over
    the logits, and there are as few as torch's make possible.
    """
    _, _, _, _, softcap, offset, _, where, _, _ = options
    wide = compute_dtype(logits.dtype)
    z = logits if logits.dtype == wide else scratch[0].copy_(logits)
    slope = None
    if softcap:
        z = torch.tanh(z / softcap)
        if upstream is not None:
            slope = 1 - z * z
        z.mul_(softcap)
    if offset is not None:
        z = z + offset.to(wide)
    if where is not None:
        z = z.masked_fill(~where, -torch.inf)
    top, index = _largest(z)
    p = torch.softmax(z, 1, out=scratch[1])
    below = torch.sub(z, top, out=scratch[0])  # the gap with its sign turned
    if where is not None or not looks(z.device):
        below.clamp_(min=_FAR)
    of_top = p.gather(1, index)
    p.scatter_(1, index, 0)
    share = below.mul_(p)
    mean_gap = -share.sum(1, keepdim=True)
    if where is None and looks(z.device) and not mean_gap.isfinite().all():
        # 0 times infinity, of logits of minus infinity: their share is 0.
        share.masked_fill_(p == 0, 0)
        mean_gap = -share.sum(1, keepdim=True)
    entropy = (torch.log1p(p.sum(1, keepdim=True) / of_top) + mean_gap).squeeze(1)
    if upstream is None:
        return entropy, None
    gradient = share.addcmul_(p, mean_gap).scatter_(1, index, of_top * mean_gap)
    factor = -upstream.to(wide).reshape(-1, 1)
    return entropy, (gradient if slope is None else gradient.mul_(slope), factor)


def _largest(z: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of each row and its first place, in two steps: torch looks for one number at a time."""
    run, classes = 64, z.shape[1]
    whole = classes // run * run
    if not looks(z.device) or whole == 0:
        index = z.argmax(1, keepdim=True)
        return z.gather(1, index), index
    of_runs = z[:, :whole].reshape(z.shape[0], -1, run).amax(2)
    if whole < classes:
        of_runs = torch.cat([of_runs, z[:, whole:].amax(1, keepdim=True)], 1)
    first = of_runs.argmax(1, keepdim=True) * run
    places = (first + torch.arange(run, device=z.device)).clamp_(max=classes - 1)
    among = z.gather(1, places)
    at = among.argmax(1, keepdim=True)
    return among.gather(1, at), places.gather(1, at)
