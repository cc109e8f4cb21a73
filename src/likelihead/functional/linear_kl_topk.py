"""Distillation from the likeliest tokens of a teacher, whose log-probabilities were kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from likelihead.core.devices import check_devices
from likelihead.core.options import shown
from likelihead.core.reduction import Normalizer, check_reduction
from likelihead.errors import DomainError, DTypeError, ShapeError
from likelihead.functional._call import is_class_index, is_real, is_tensor, overridable
from likelihead.functional._linear import (
    as_chunk,
    as_compact,
    check_head,
    for_each_token,
    in_autocast,
    in_rows,
)
from likelihead.functional._sample_weight import checked_weight
from likelihead.functional.linear_kl import STUDENT, check_constant, check_tokens, check_vocabulary
from likelihead.functional.linear_log_probs import check_temperature
from likelihead.guard.switch import current
from likelihead.kernels import dispatch
from likelihead.kernels.ops import check_softmax_options

__all__ = ["linear_kl_topk"]


@overridable
def linear_kl_topk(
    student_hidden: Tensor,
    student_weight: Tensor,
    teacher_log_probs: Tensor,
    teacher_index: Tensor,
    *,
    student_bias: Tensor | None = None,
    temperature: float = 1.0,
    student_softcap: float | None = None,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
    sample_weight: Tensor | None = None,
    chunk_tokens: int | None = None,
    compact: bool | None = None,
) -> Tensor:
    r"""Divergence of a student's linear head from the k likeliest tokens of a teacher, in nats.

    .. math:: \sum_{j \in K} p_j \log \frac{p_j}{q_j} + p_r \log \frac{p_r}{q_r}, \qquad
        p_r = 1 - \sum_{j \in K} p_j, \quad q_r = \sum_{k \notin K} q_k

    with K the tokens of ``teacher_index``, p the teacher's probabilities of them, which were computed once
    and kept, and q the student's softmax. All other tokens are one bucket, so that it is the divergence of
    distributions over k + 1 classes: never above the forward one over all V of `linear_kl`.

    Where the log-probabilities are known to few digits their sum may be above 1; they are divided by it then,
    and the rest is 0. With k = V there is no rest. Differentiable by the student, in chunks, as `linear_kl`.

    Args:
        student_hidden: the student's hidden states.
        student_weight: its head's weight, as in `torch.nn.Linear`.
        teacher_log_probs: the teacher's log-probabilities, at this temperature: of its ``log_softmax`` over
            all V tokens. -inf for a token that cannot be.
        teacher_index: which tokens they belong to (int64, int32, int16, int8 or uint8), none twice in a row.
        student_bias: the bias of the student's head.
        temperature: divides the student's logits, after the cap.
        student_softcap: replaces the student's logits by ``softcap * tanh(logits / softcap)``.
        reduction: as in `linear_kl`.
        normalizer: as in `linear_kl`.
        sample_weight: as in `linear_kl`.
        chunk_tokens: how many tokens make a chunk; None for what fits 48 MiB on a CPU, 4096 elsewhere.
        compact: as in `linear_kl`.

    Shape:
        - student_hidden: ``[D]``, ``[N, D]``, or with leading dimensions, as ``[B, T, D]``.
        - student_weight: ``[V, D]``; student_bias: ``[V]``.
        - teacher_log_probs, teacher_index: the student's shape with k in place of D.
        - returns: as `linear_kl`.

    Raises:
        ShapeError: tokens that differ, or a k that is 0 or above V.
        IndexError: an index outside ``[0, V)``, on a CPU.
        DomainError: probabilities whose sum is above 1 by more than rounding, or an index that a row has
            twice: on a CPU, or with the guard at *full*.
        DTypeError, OptionError, RuntimeError: as `linear_kl`.

    >>> hidden, head = torch.tensor([[1.0, 0.0]]), torch.eye(4, 2)
    >>> log_probs, index = torch.tensor([[3.0, 1.0, 1.0, 0.0]]).log_softmax(-1).topk(2)
    >>> linear_kl_topk(hidden, head, log_probs, index)
    tensor(0.1697)

    References:
        :doc:`/distillation`.
    """
    check_head(student_hidden, student_weight, student_bias, names=STUDENT)
    check_devices(
        "student_hidden",
        student_hidden,
        scalars=("normalizer",),
        student_weight=student_weight,
        teacher_log_probs=teacher_log_probs,
        teacher_index=teacher_index,
        student_bias=student_bias,
        sample_weight=sample_weight,
        normalizer=normalizer,
    )
    check_reduction(reduction, normalizer)
    if not is_tensor(teacher_log_probs) or not is_tensor(teacher_index):
        raise TypeError(
            f"teacher_log_probs is {shown(teacher_log_probs)} and teacher_index {shown(teacher_index)}; "
            "expected two tensors [..., k]."
        )
    if not is_real(teacher_log_probs) or not is_class_index(teacher_index):
        raise DTypeError(
            f"teacher_log_probs is {teacher_log_probs.dtype} and teacher_index {teacher_index.dtype}; "
            "expected floating-point log-probabilities and class indices of an integer dtype, such as int64."
        )
    tokens = check_tokens("teacher_log_probs", teacher_log_probs, student_hidden)
    check_vocabulary(student_weight, student_weight)
    classes, k = student_weight.shape[0], teacher_log_probs.shape[-1]
    if teacher_log_probs.shape != teacher_index.shape or not 0 < k <= classes:
        raise ShapeError(
            f"teacher_log_probs has shape {list(teacher_log_probs.shape)} and teacher_index "
            f"{list(teacher_index.shape)}; expected both [..., k] with k from 1 to the {classes} classes."
        )
    check_constant(teacher_log_probs=teacher_log_probs)
    check_softmax_options(classes, softcap=student_softcap)
    each = for_each_token(checked_weight(sample_weight, tokens), tokens)
    log_probs, index = in_rows(teacher_log_probs), in_rows(teacher_index)
    if _may_look(log_probs, index, each):
        _check_buckets(log_probs, index, each, classes, tokens)
    kl = dispatch.linear_kl(
        in_rows(in_autocast(student_hidden, student_hidden)),
        in_autocast(student_weight, student_hidden),
        log_probs,
        head_bias=None if student_bias is None else in_autocast(student_bias, student_hidden),
        teacher_index=index,
        sample_weight=each,
        reduction=reduction,
        normalizer=normalizer,
        chunk_tokens=as_chunk(chunk_tokens),
        compact=as_compact(compact),
        temperature=check_temperature(temperature),
        softcap=student_softcap,
    )
    return kl.reshape(tokens) if reduction == "none" else kl


def _may_look(*tensors: Tensor | None) -> bool:
    """Whether values can be looked at: on a CPU, elsewhere where the guard may wait for the device."""
    given: list[Any] = [t for t in tensors if t is not None]
    return (
        not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and torch._C._len_torch_dispatch_stack() == 0
        and all(type(t) in (torch.Tensor, torch.nn.Parameter) and not t.is_meta for t in given)
        and (given[0].is_cpu or current().level == "full")
    )


@torch.no_grad()
def _check_buckets(
    log_probs: Tensor, index: Tensor, each: Tensor | None, classes: int, shape: Sequence[int]
) -> None:
    """Refuse what is no part of a distribution over the classes; tokens of weight 0 are not looked at."""
    if not log_probs.numel():
        return

    def place(token: int) -> str:
        return (
            str([int(i) for i in torch.unravel_index(torch.tensor(token), tuple(shape))]) if shape else "[]"
        )

    kept = torch.ones_like(log_probs[:, 0], dtype=torch.bool) if each is None else each != 0
    classes_of = index.long()
    outside = ((classes_of < 0) | (classes_of >= classes)).any(1) & kept
    if outside.any():
        token = int(outside.int().argmax())
        raise IndexError(
            f"teacher_index of token {place(token)} is {classes_of[token].tolist()}, with a class outside "
            f"the {classes} of the student's head; expected 0 to {classes - 1}."
        )
    ordered = classes_of.sort(1).values
    twice = (ordered[:, 1:] == ordered[:, :-1]).any(1) & kept
    if twice.any():
        token = int(twice.int().argmax())
        raise DomainError(
            f"teacher_index of token {place(token)} has a class twice; expected k different ones. To fill a "
            "row up take any others, with log-probabilities of -inf."
        )
    total = log_probs.logsumexp(1)
    # Of 16-bit log-probabilities down to -10 the sum is known to a few per cent.
    wrong = ~(total < math.log(1.1)) & kept
    if wrong.any():
        token = int(wrong.int().argmax())
        raise DomainError(
            f"teacher_log_probs of token {place(token)} are of probabilities that sum to "
            f"{math.exp(min(float(total[token]), 700.0)):.4g}; expected at most 1: log_softmax of the "
            "teacher's logits over all classes, then the k largest."
        )
