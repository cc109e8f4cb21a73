"""Hazards of the overlap losses, which are told by name whether they are given logits: LH111 and LH115."""

from __future__ import annotations

import torch
from torch import Tensor

from likelihead.guard import switch
from likelihead.guard.check import _is_ordinary, _may_read
from likelihead.guard.origin import Origin, is_trained_affine, trace
from likelihead.guard.provenance import made_at
from likelihead.guard.report import Finding, report, shape_text

__all__ = ["check_overlap", "reads_values"]

# How far rounding, or an epsilon that was added, may carry a probability out of [0, 1].
_TOLERANCE = {torch.float64: 1e-3, torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 1e-2}
_LOGARITHMS = ("log_softmax", "log_sigmoid", "log_of_softmax")


def check_overlap(
    input: Tensor, target: Tensor, *, from_logits: bool, multiclass: bool, counts: Tensor | None = None
) -> None:
    """Warn where the input of an overlap loss is not what ``from_logits`` says it is, or raise if asked to.

    Args:
        input: ``[N, C, ...]``.
        target: of the call.
        from_logits: what the caller says.
        multiclass: whether a softmax is applied to logits, else a sigmoid.
        counts: at level *full* the elements whose values matter, broadcast against the input.

    Raises:
        MisuseError: the hazard found, where the action is to raise.
    """
    if torch.compiler.is_compiling():
        return
    level = switch.current().level
    if level == "off" or not _is_ordinary(input, target):
        return
    finding = _by_origin(input, from_logits, multiclass)
    if finding is None and level == "full" and _may_read(input) and input.numel():
        finding = _by_values(input.detach(), from_logits, multiclass, counts)
    if finding is not None:
        report(finding, "warn")


def reads_values(input: Tensor) -> bool:
    """Whether a check may wait for the values: ordinary tensors on the CPU, or at level *full* anywhere."""
    if torch.compiler.is_compiling() or not _is_ordinary(input, None) or not _may_read(input):
        return False
    return input.device.type == "cpu" or switch.current().level == "full"


def _by_origin(input: Tensor, from_logits: bool, multiclass: bool) -> Finding | None:
    if input.grad_fn is None:
        return None
    origin = trace(input)
    if origin is None:
        return None
    kind = origin.kind
    if from_logits:
        # A softmax of log-probabilities gives the probabilities back; a sigmoid of them gives nothing.
        wrong = kind in ("softmax", "sigmoid") or (kind in _LOGARITHMS and not multiclass)
        return _found("LH115", input, origin) if wrong else None
    # A ReLU is bounded by 0 alone, and is what some take for probabilities: only a layer's output is certain.
    layer = (
        kind == "layer" and type(origin.node).__name__ != "ReluBackward0" and is_trained_affine(origin.node)
    )
    return _found("LH111", input, origin) if layer or kind in _LOGARITHMS else None


def _found(code: str, input: Tensor, origin: Origin) -> Finding:
    kind = (
        "layer with no softmax or sigmoid behind it"
        if origin.kind == "layer"
        else origin.kind.replace("_", "-")
    )
    node = type(origin.node).__name__
    detail = f"The input {shape_text(input.shape)} comes from a {kind} ({node} in its autograd graph)."
    return Finding(code, detail, made_at(origin.node))


@torch.no_grad()
def _by_values(input: Tensor, from_logits: bool, multiclass: bool, counts: Tensor | None) -> Finding | None:
    slack = _TOLERANCE.get(input.dtype, 1e-3)
    outside = (input < -slack) | (input > 1 + slack)
    if counts is not None:
        outside &= counts
    if from_logits:
        if not multiclass or input.shape[1] < 2 or bool(outside.any()):
            return None
        off = (input.float().sum(1, keepdim=True) - 1).abs() > slack
        if counts is not None:
            off = off & counts[:, :1]
            if not bool(counts.any()):
                return None
        if bool(off.any()):
            return None
        return Finding(
            "LH115", f"The input {shape_text(input.shape)} lies in [0, 1] and sums to one over the classes."
        )
    if not bool(outside.any()):
        return None
    place = tuple(int(i) for i in outside.nonzero()[0])
    value, many = input[place].item(), int(outside.sum())
    return Finding(
        "LH111", f"The input is {value:.6g} at {shape_text(place)} ({many} of {outside.numel()} values)."
    )
