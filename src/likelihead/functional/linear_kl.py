"""Distillation of a linear head: the divergence from a teacher's distribution, without either's logits."""

from __future__ import annotations

import torch
from torch import Tensor

from likelihead.core.devices import check_devices
from likelihead.core.options import check_real_number
from likelihead.core.reduction import Normalizer, check_reduction
from likelihead.errors import OptionError, ShapeError
from likelihead.functional._call import overridable
from likelihead.functional._linear import (
    as_chunk,
    as_compact,
    check_head,
    for_each_token,
    in_autocast,
    in_rows,
)
from likelihead.functional._sample_weight import checked_weight
from likelihead.functional.linear_log_probs import check_temperature
from likelihead.kernels import dispatch
from likelihead.kernels.ops import check_softmax_options

__all__ = ["STUDENT", "check_constant", "check_tokens", "check_vocabulary", "linear_kl"]

STUDENT = ("student_hidden", "student_weight", "student_bias")
_TEACHER = ("teacher_hidden", "teacher_weight", "teacher_bias")
_DIRECTIONS = ("forward", "reverse", "jsd")


@overridable
def linear_kl(
    student_hidden: Tensor,
    student_weight: Tensor,
    teacher_hidden: Tensor,
    teacher_weight: Tensor,
    *,
    student_bias: Tensor | None = None,
    teacher_bias: Tensor | None = None,
    temperature: float = 1.0,
    direction: str = "forward",
    beta: float = 0.5,
    student_softcap: float | None = None,
    teacher_softcap: float | None = None,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
    sample_weight: Tensor | None = None,
    chunk_tokens: int | None = None,
    compact: bool | None = None,
) -> Tensor:
    r"""Divergence of a student's linear head from a teacher's, in nats, without the logits of either.

    With :math:`p = \operatorname{softmax}(z_\text{teacher} / T)` and :math:`q =
    \operatorname{softmax}(z_\text{student} / T)` of each token it is

    .. math::
        \operatorname{KL}(p \| q) = \sum_k p_k \log \frac{p_k}{q_k}, \qquad
        \operatorname{KL}(q \| p), \qquad
        \beta \operatorname{KL}(p \| m) + (1 - \beta) \operatorname{KL}(q \| m), \quad
        m = \beta p + (1 - \beta) q,

    by ``direction``: ``"forward"``, ``"reverse"`` or ``"jsd"``, the generalised Jensen-Shannon divergence,
    which divided by :math:`\beta (1 - \beta)` becomes the forward one as :math:`\beta \to 0` and the reverse
    one as :math:`\beta \to 1`. The two models may differ in width and dtype, but not in their vocabulary.
    Where they are nearly equal no digits are lost: a divergence of 1e-8 is as accurate as the logits.

    It is differentiable by the student; the teacher is a constant, and one whose gradient would be asked for
    is refused. Tokens are served in chunks: with a scalar loss the gradients are made in the forward pass, a
    product for either head and one for each gradient; with ``"none"`` the backward pass computes the logits
    of a chunk again. Nothing is multiplied by :math:`T^2`, by which the gradient shrinks: do so for a
    learning rate that suits any temperature.

    Args:
        student_hidden: the student's hidden states.
        student_weight: its head's weight, as in `torch.nn.Linear`.
        teacher_hidden: the teacher's hidden states of the same tokens.
        teacher_weight: its head's weight.
        student_bias: the bias of the student's head.
        teacher_bias: the bias of the teacher's head.
        temperature: divides both models' logits, after the cap.
        direction: ``"forward"``, ``"reverse"`` or ``"jsd"``.
        beta: the teacher's share of the mixture of ``"jsd"``, between 0 and 1; the others have none.
        student_softcap: replaces the student's logits by ``softcap * tanh(logits / softcap)``.
        teacher_softcap: the same of the teacher's.
        reduction: ``"mean"`` over the tokens, ``"sum"``, or ``"none"``. The mean over no token is NaN. (In
            torch's ``kl_div`` this mean is ``"batchmean"``.)
        normalizer: a number or 0-d tensor that the mean divides by instead.
        sample_weight: a number per token or sequence, not negative, that multiplies its divergence; the mean
            divides by their sum. A weight of 0, or False, leaves the token out: on a CPU it takes no product.
        chunk_tokens: how many tokens make a chunk; None for as many as one model's logits of 48 MiB have on a
            CPU, 4096 elsewhere.
        compact: whether tokens of weight 0 leave before the products, as in `linear_cross_entropy`.

    Shape:
        - student_hidden: ``[D]``, ``[N, D]``, or with leading dimensions, as ``[B, T, D]``.
        - student_weight: ``[V, D]``; student_bias: ``[V]``.
        - teacher_hidden: as the student's, of any width E; teacher_weight: ``[V, E]``; teacher_bias: ``[V]``.
        - sample_weight: the student's shape without D, or its first dimensions.
        - returns: the student's shape without D for ``"none"``, else 0-d; float32, or float64 for a student
          in float64. Infinite where one cannot have what the other can: KL is, the mixture's never.

    Raises:
        ShapeError: vocabularies or tokens that differ; a head of another width than its hidden states.
        DTypeError: hidden states and head of one model in different dtypes; an option that is no number.
        OptionError: an unknown direction; a temperature, ``beta`` or cap out of range.
        RuntimeError: a teacher that requires a gradient.

    >>> student, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0]])
    >>> heads = torch.eye(2), torch.tensor([[1.0], [0.0]])
    >>> linear_kl(student, heads[0], teacher, heads[1])
    tensor(0.0671)
    >>> linear_kl(student, heads[0], teacher, heads[1], direction="jsd", temperature=2.0)
    tensor(0.0068)

    References:
        Hinton, Vinyals and Dean (2015), *Distilling the Knowledge in a Neural Network*; Agarwal et al.
        (2024), *On-Policy Distillation of Language Models* (the generalised Jensen-Shannon divergence);
        :doc:`/distillation`.
    """
    check_head(student_hidden, student_weight, student_bias, names=STUDENT)
    check_head(teacher_hidden, teacher_weight, teacher_bias, names=_TEACHER)
    check_devices(
        "student_hidden",
        student_hidden,
        scalars=("normalizer",),
        student_weight=student_weight,
        teacher_hidden=teacher_hidden,
        teacher_weight=teacher_weight,
        student_bias=student_bias,
        teacher_bias=teacher_bias,
        sample_weight=sample_weight,
        normalizer=normalizer,
    )
    check_reduction(reduction, normalizer)
    tokens = check_tokens("teacher_hidden", teacher_hidden, student_hidden)
    check_vocabulary(student_weight, teacher_weight)
    check_constant(teacher_hidden=teacher_hidden, teacher_weight=teacher_weight, teacher_bias=teacher_bias)
    if direction not in _DIRECTIONS:
        raise OptionError(f"direction is {direction!r}; expected 'forward', 'reverse' or 'jsd'.")
    check_real_number("beta", beta)
    if not 0 < beta < 1:
        raise OptionError(
            f"beta is {beta!r}; expected a share between 0 and 1. The divergence is 0 at both: use "
            "direction='forward' or 'reverse'."
        )
    for cap in (student_softcap, teacher_softcap):
        check_softmax_options(student_weight.shape[0], softcap=cap)
    each = for_each_token(checked_weight(sample_weight, tokens), tokens)
    kl = dispatch.linear_kl(
        in_rows(in_autocast(student_hidden, student_hidden)),
        in_autocast(student_weight, student_hidden),
        in_rows(in_autocast(teacher_hidden, teacher_hidden)),
        in_autocast(teacher_weight, teacher_hidden),
        head_bias=None if student_bias is None else in_autocast(student_bias, student_hidden),
        teacher_bias=None if teacher_bias is None else in_autocast(teacher_bias, teacher_hidden),
        sample_weight=each,
        reduction=reduction,
        normalizer=normalizer,
        chunk_tokens=as_chunk(chunk_tokens),
        compact=as_compact(compact),
        direction=direction,
        beta=beta,
        temperature=check_temperature(temperature),
        softcap=student_softcap,
        teacher_softcap=teacher_softcap,
    )
    return kl.reshape(tokens) if reduction == "none" else kl


def check_tokens(name: str, teacher: Tensor, student: Tensor) -> tuple[int, ...]:
    """The leading dimensions, of which teacher and student must have the same."""
    if teacher.dim() < 1 or teacher.shape[:-1] != student.shape[:-1]:
        raise ShapeError(
            f"student_hidden has shape {list(student.shape)} and {name} {list(teacher.shape)}; expected the "
            f"same tokens: {', '.join([*map(str, student.shape[:-1]), '...'])}."
        )
    return tuple(student.shape[:-1])


def check_vocabulary(student: Tensor, teacher: Tensor) -> None:
    both = f"student_weight has shape {list(student.shape)}"
    if teacher is not student:
        both += f" and teacher_weight {list(teacher.shape)}"
    if student.dim() != 2 or teacher.dim() != 2:
        raise ShapeError(f"{both}; expected [V, D], one head for all tokens.")
    if student.shape[0] != teacher.shape[0]:
        raise ShapeError(
            f"{both}: vocabularies of {student.shape[0]} and {teacher.shape[0]} tokens; expected the same "
            "tokens in the same order. Where one is only padded, cut it: weight[:V]."
        )
    if not student.shape[0]:
        raise ShapeError(f"{both}; expected at least one class.")


def check_constant(**tensors: Tensor | None) -> None:
    """Refuse a teacher whose gradient would silently be missing."""
    if not torch.is_grad_enabled():
        return
    for name, tensor in tensors.items():
        if tensor is not None and tensor.requires_grad:
            raise RuntimeError(
                f"{name} requires a gradient, and the teacher is a constant here; pass {name}.detach(), or "
                "set teacher.requires_grad_(False)."
            )
