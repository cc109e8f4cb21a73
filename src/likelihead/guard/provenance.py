"""Hazards that the autograd graph of the input proves: one function each, certain and free of data.

Each takes the loss, the input and its `Origin`, and answers with a `Finding` or None.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor

from likelihead.guard.origin import Origin, is_trained_affine, trace
from likelihead.guard.report import Finding, LossName, shape_text

__all__ = ["HAZARDS_OF", "check_provenance", "holders", "made_at", "saved_elsewhere"]


def check_provenance(loss: LossName, input: Tensor, *, full: bool, reduction: str = "mean") -> Finding | None:
    """The first hazard that the input's origin proves.

    Args:
        loss: the loss that is about to be computed.
        input: its first argument.
        full: whether redundant but right ways of computing the same (severity I) count as well.
        reduction: the loss's. With ``"none"`` the NLL is a way to pick one entry of each row.
    """
    hazards = HAZARDS_OF.get(loss)
    if hazards is None or input.grad_fn is None:
        return None
    if loss == "nll" and reduction == "none":
        hazards = (log_of_softmax,)
    origin = trace(input)
    if origin is None:
        return None
    for hazard in hazards:
        finding = hazard(input, origin)
        if finding is not None and (full or hazard is not log_softmax_into_cross_entropy):
            return finding
    return None


def _finding(code: str, input: Tensor, origin: Origin, meant: str = "") -> Finding:
    kind = origin.kind.replace("_", " ").replace("layer", "layer without a log-softmax behind it")
    node = type(origin.node).__name__
    detail = f"The input {shape_text(input.shape)} comes from a {kind} ({node} in its autograd graph)."
    return Finding(code, f"{detail} {meant}".rstrip(), made_at(origin.node))


def softmax_into_cross_entropy(input: Tensor, origin: Origin) -> Finding | None:
    """LH101. Whatever the dimension: numbers between 0 and 1 are no logits."""
    return _finding("LH101", input, origin) if origin.kind == "softmax" else None


def sigmoid_into_cross_entropy(input: Tensor, origin: Origin) -> Finding | None:
    """LH102."""
    return _finding("LH102", input, origin) if origin.kind == "sigmoid" else None


def log_softmax_into_cross_entropy(input: Tensor, origin: Origin) -> Finding | None:
    """LH103: only where the second log-softmax provably changes nothing.

    Over another dimension (a step of Sinkhorn's iteration) or over some of the classes it does change the
    value.
    """
    redundant = origin.kind == "log_softmax" and origin.whole and origin.dim == _class_dim(input)
    return _finding("LH103", input, origin) if redundant else None


def softmax_into_nll(input: Tensor, origin: Origin) -> Finding | None:
    """LH104. Where the picked probability itself is meant, ``reduction="none"`` says so."""
    if origin.kind != "softmax":
        return None
    return _finding("LH104", input, origin, "To pick the probability of each target use reduction='none'.")


def logits_into_nll(input: Tensor, origin: Origin) -> Finding | None:
    """LH105: the output of a trained layer, unless something else has saved it for its own gradient.

    A cross-entropy by hand takes the log-sum-exp of the same logits, and saves them.
    """
    if origin.kind != "layer" or not is_trained_affine(origin.node) or saved_elsewhere(input):
        return None
    meant = "Where the log-sum-exp is added outside, pick the logits with reduction='none'."
    return _finding("LH105", input, origin, meant)


def sigmoid_into_bce_with_logits(input: Tensor, origin: Origin) -> Finding | None:
    """LH106."""
    return _finding("LH106", input, origin) if origin.kind == "sigmoid" else None


def softmax_into_bce_with_logits(input: Tensor, origin: Origin) -> Finding | None:
    """LH107."""
    return _finding("LH107", input, origin) if origin.kind == "softmax" else None


def sigmoid_into_bce(input: Tensor, origin: Origin) -> Finding | None:
    """LH109. Of an average of sigmoids there are no logits to pass instead."""
    single = origin.kind == "sigmoid" and not origin.mixed
    return _finding("LH109", input, origin) if single else None


def log_of_softmax(input: Tensor, origin: Origin) -> Finding | None:
    """LH110. A probability that is clamped, or has a small constant added, is guarded against log(0)."""
    bare = origin.kind == "log_of_softmax" and not origin.guarded
    return _finding("LH110", input, origin) if bare else None


def wrong_dimension(input: Tensor, origin: Origin) -> Finding | None:
    """LH112: log-probabilities normalised over another dimension than the classes'.

    A square matrix, or a part of one, is left alone: in contrastive losses the rows are classes as well, and
    the diagonal of ``log_softmax(similarity, dim=0)`` is a value that is meant.
    """
    if origin.kind not in ("log_softmax", "log_of_softmax") or origin.dim in (None, _class_dim(input)):
        return None
    if not origin.whole or (input.ndim == 2 and input.shape[0] == input.shape[1]):
        return None
    finding = _finding("LH112", input, origin)
    where = f"It ran over dimension {origin.dim}; the classes are dimension {_class_dim(input)}."
    return Finding(finding.code, f"{finding.detail} {where}", finding.made_at)


HAZARDS_OF = {
    "cross_entropy": (
        softmax_into_cross_entropy,
        sigmoid_into_cross_entropy,
        log_of_softmax,
        log_softmax_into_cross_entropy,
    ),
    "nll": (softmax_into_nll, logits_into_nll, wrong_dimension, log_of_softmax),
    "bce": (sigmoid_into_bce,),
    "bce_with_logits": (sigmoid_into_bce_with_logits, softmax_into_bce_with_logits),
    "multilabel_soft_margin": (sigmoid_into_bce_with_logits, softmax_into_bce_with_logits),
}


def _class_dim(input: Tensor) -> int:
    return 0 if input.ndim == 1 else 1


# -- evidence beside the graph -----------------------------------------------------------------------


def saved_elsewhere(input: Tensor, loss: Tensor | None = None) -> bool:
    """Whether another operation than the loss keeps the tensor for its own backward pass.

    Args:
        input: the input of the loss.
        loss: what the loss returned, where it has run already.
    """
    known = _UNSHARED
    if loss is not None and loss.grad_fn is not None:
        saved = getattr(loss.grad_fn, "_saved_self", None)
        # A view holds what it is a view of; a leaf is held by the node that adds up its gradient.
        known += (saved is input or getattr(saved, "_base", None) is input) + input.is_leaf
    return holders(input) > known


def holders(tensor: Tensor) -> int:
    """How many in C++ hold this tensor, its Python object being one."""
    count = getattr(tensor, "_use_count", None)
    return 0 if count is None else int(count())


_UNSHARED = holders(torch.empty(0))


def made_at(node: Any) -> str | None:
    """File and line of the user's code that made this node, where autograd's anomaly mode kept them."""
    for entry in reversed(node.metadata.get("traceback_", ())):
        file, line = _parse(entry)
        if file is not None and not _is_ours(file):
            return f"{file}:{line}"
    return None


def _parse(entry: str) -> tuple[str | None, str]:
    """File and line of an entry of ``traceback.format_stack``: ``File "model.py", line 12, in forward``."""
    head, _, rest = entry.partition('", line ')
    _, opened, file = head.partition('File "')
    return (file if opened else None), rest.partition(",")[0]


def _is_ours(file: str) -> bool:
    return any(file.startswith(folder) for folder in _OWN_FOLDERS)


_OWN_FOLDERS = tuple(
    os.path.dirname(os.path.abspath(path)) + os.sep for path in (torch.__file__, os.path.dirname(__file__))
)
