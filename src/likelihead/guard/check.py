"""The guard's entries: `check_call` and `check_target` for a loss call, `explain_shape` for an unfit one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from likelihead.guard import dtype as dtypes
from likelihead.guard import shape as shapes
from likelihead.guard import switch
from likelihead.guard.counted import masked_target, that_count
from likelihead.guard.provenance import check_provenance, saved_elsewhere
from likelihead.guard.report import Finding, LossName, report
from likelihead.guard.values import check_values, class_target

__all__ = ["Finding", "LossName", "check_call", "check_target", "explain_shape", "nothing_to_check"]

_PLAIN = (torch.Tensor, torch.nn.Parameter)


def check_call(
    loss: LossName,
    input: Tensor,
    target: Tensor | None,
    *,
    default_action: Literal["warn", "raise"],
    num_classes: int | None = None,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    ignore_index: int | None = None,
    mask: Tensor | None = None,
    nan_target_is_missing: bool = False,
    reduction: str = "mean",
    where: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> None:
    """Look for hazards in a loss call that is about to be made, and warn or raise.

    Does nothing at level *off*, and nothing where a tensor is not an ordinary one: under ``torch.compile``
    and export, inside the transforms of ``torch.func``, for fake, meta, nested and sparse tensors and
    subclasses. At *cheap* it never waits for the device and runs no tensor operation; at *full* see `values`.

    A call that cannot be computed (sizes, dtypes) is not reported here: the kernel raises, and
    `explain_shape` has the words.

    Args:
        loss: the loss.
        input: its first argument: logits, log-probabilities, probabilities or predictions.
        target: its target.
        default_action: what to do where the user has not chosen: drop-in functions warn, likelihoods raise.
            Severity W and I do not raise by default.
        num_classes: number of classes, where it is not the size of the class dimension.
        weight: class weight (cross-entropy, NLL) or element weight (BCE).
        pos_weight: weight of the positive labels.
        ignore_index: class index that is left out.
        mask: elements of a BCE target that count.
        nan_target_is_missing: whether a NaN in a BCE target stands for a missing label.
        reduction: the loss's: an `nll_loss` that is not reduced picks entries, of whatever kind they are.
        where: classes that an example can have; what stands at another is not looked at.
        sample_weight: weights of the examples; one of weight 0 is not looked at.

    Raises:
        LikelihoodError: the hazard found, where the action is to raise; TargetError (LH203) at *full* always.
    """
    if torch.compiler.is_compiling():
        return
    level = switch.level_in_force()
    if level == "off" or not _is_ordinary(input, target):
        return
    full = level == "full"
    finding = check_provenance(loss, input, full=full, reduction=reduction)
    if finding is not None:
        report(finding, default_action)
    known = finding is not None or (loss == "nll" and (reduction == "none" or saved_elsewhere(input)))
    finding = dtypes.narrow_index(loss, input, target) or shapes.accepted(
        loss, input, target, weight=weight, pos_weight=pos_weight, ignore_index=ignore_index
    )
    if finding is not None:
        report(finding, default_action)
    if full and _may_read(input):
        impossible = masked_target(target, where, ignore_index, sample_weight) if where is not None else None
        if impossible is not None:
            report(impossible, default_action)
        if sample_weight is not None or where is not None:
            input, target, mask = that_count(loss, input, target, mask, where, sample_weight)
        found = _read(loss, input, target, num_classes, ignore_index, mask, nan_target_is_missing, known)
        for finding in found:
            report(finding, default_action)


def check_target(
    target: Tensor,
    *,
    default_action: Literal["warn", "raise"],
    num_classes: int,
    ignore_index: int,
    sample_weight: Tensor | None = None,
) -> None:
    """Look at the values of a cross-entropy's targets, at level *full*, where the logits are never whole.

    Args:
        target: class indices of any shape, or probabilities ``[N, V]``.
        default_action: as in `check_call`.
        num_classes: V.
        ignore_index: class index that is left out.
        sample_weight: of each example, in their order; one of weight 0 is not looked at.

    Raises:
        LikelihoodError: as `check_call`.
    """
    if torch.compiler.is_compiling() or switch.level_in_force() != "full":
        return
    if not _is_ordinary(target, None) or not _may_read(target) or not target.numel():
        return
    with torch.no_grad():
        if sample_weight is not None:
            counting = sample_weight != 0
            soft = target.is_floating_point()
            target = (
                target[counting] if soft else target.long().where(counting.view(target.shape), ignore_index)
            )
        finding = class_target(target.detach(), num_classes, ignore_index) if target.numel() else None
    if finding is not None:
        report(finding, default_action)


def nothing_to_check(loss: LossName, input: Tensor) -> bool:
    """Whether `check_call` would find nothing by the origin of the input, and look no further.

    For plain tensors whose sizes and dtypes the caller has looked at.
    """
    level = switch.level_in_force()
    if level == "cheap":
        return input.grad_fn is None or check_provenance(loss, input, full=False) is None
    return level == "off"


def explain_shape(
    loss: LossName,
    input: Tensor,
    target: Tensor | None,
    *,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
) -> Finding | None:
    """Say what is wrong with the sizes and dtypes of a call, whether or not torch would refuse it.

    Reads no data; takes meta tensors as well. ``Finding.error()`` is the exception to raise, with the
    hazard's code.

    Args:
        loss: the loss.
        input: its first argument.
        target: its target.
        weight: class weight (cross-entropy, NLL) or element weight (BCE).
        pos_weight: weight of the positive labels.

    Returns:
        What is wrong, or None where the sizes and dtypes fit. A finding whose ``code`` is None fits no
        hazard of the table.

    >>> finding = explain_shape("cross_entropy", torch.zeros(2, 5, 7), torch.zeros(2, 5, dtype=torch.long))
    >>> finding.code
    'LH301'
    """
    return (
        (shapes.one_logit(input.shape) if loss == "cross_entropy" else None)
        or dtypes.index_dtype(loss, input, target)
        or shapes.impossible(loss, input, target, weight=weight, pos_weight=pos_weight)
        or dtypes.binary_target(loss, target)
        or dtypes.narrow_index(loss, input, target)
        or shapes.accepted(loss, input, target, weight=weight, pos_weight=pos_weight)
        or dtypes.weight_dtype(loss, input, target, weight)
    )


def _is_ordinary(input: Tensor, target: Tensor | None) -> bool:
    """Whether these are plain tensors with data, outside every transform and trace."""
    return (
        type(input) in _PLAIN
        and (target is None or type(target) in _PLAIN)
        and not input.is_meta
        and input.layout is torch.strided
        and not input.is_nested
        and not torch._C._are_functorch_transforms_active()
        and torch._C._get_tracing_state() is None
    )


def _may_read(input: Tensor) -> bool:
    """Whether the data may be read: a dispatch mode would see it, and a CUDA graph being captured breaks."""
    if torch._C._len_torch_dispatch_stack() > 0:
        return False
    return not (input.is_cuda and torch.cuda.is_current_stream_capturing())


@torch.no_grad()
def _read(
    loss: LossName,
    input: Tensor,
    target: Tensor | None,
    num_classes: int | None,
    ignore_index: int | None,
    mask: Tensor | None,
    missing: bool,
    known: bool,
) -> list[Finding]:
    found: Iterator[Finding] = check_values(
        loss,
        input,
        target,
        num_classes=num_classes,
        ignore_index=ignore_index,
        mask=mask,
        missing=missing,
        input_known=known,
    )
    return list(found)
