"""What sizes and dtypes show: LH202, LH301 to LH303, LH601, LH602; and why torch refused a loss call."""

from __future__ import annotations

import torch
from torch import Tensor

from likelihead.errors import LikelihoodError
from likelihead.guard.check import explain_shape
from likelihead.guard.dtype import narrow_index
from likelihead.guard.origin import is_trained_affine
from likelihead.guard.report import Finding as Seen
from likelihead.guard.report import LossName, shape_text
from likelihead.guard.shape import accepted, index_shape
from likelihead.watch.call import FailedCall, LossCall
from likelihead.watch.checks.base import Check
from likelihead.watch.checks.values import weights
from likelihead.watch.losses import LossSpec
from likelihead.watch.mode import readable

__all__ = ["Sizes"]

# Losses of numbers that the guard has no name for broadcast as the squared error does.
_LIKE_MSE = frozenset(
    {
        *("l1_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss"),
        *("soft_margin_loss", "hinge_embedding_loss", "kl_div"),
    }
)
_INDICES = (torch.int64, torch.uint8)  # that torch takes


class Sizes(Check):
    """Looks at shapes and dtypes, of calls that torch takes and of those that it refuses."""

    def call(self, call: LossCall) -> None:
        guard = _name(call.spec)
        if guard is None or call.input is None or not readable(call.target):
            return
        # Without ignore_index: for that two calls may belong together (`ignored`).
        seen = (
            narrow_index(guard, call.input, call.target)
            or accepted(guard, call.input, call.target, **weights(call.options))
            or (_classes_last(call.input, call.target) if call.spec.by_class else None)
        )
        if seen is not None and seen.code is not None:
            made_at = None if call.input_tag is None else call.input_tag.at
            self.session.found(
                seen.code, call.at, seen.detail, step=call.step, made_at=made_at,
                values={"input": shape_text(call.input_shape), "target": shape_text(call.target_shape)},
            )  # fmt: skip

    def failed(self, call: FailedCall) -> None:
        guard = _name(call.spec)
        input, target = call.input, call.target
        if guard is None or not readable(input) or not readable(target):
            return
        seen = explain_shape(guard, input, target, **weights(call.options)) or _no_index(
            call.spec, input, target
        )
        said = str(call.error).strip().partition("\n")[0]
        if seen is None:
            if isinstance(call.error, LikelihoodError) and call.error.code is not None:
                self.session.found(call.error.code, call.at, said, step=call.step)
            return
        values = {"input": shape_text(input.shape), "target": shape_text(target.shape)}
        detail = f"{seen.detail} {call.spec.name} raised {type(call.error).__name__}: {said}"
        if seen.code is None:
            self.session.note("refused", detail, call.at)
        else:
            self.session.found(seen.code, call.at, detail, step=call.step, values=values)


def _name(spec: LossSpec) -> LossName | None:
    return "mse" if spec.name in _LIKE_MSE else spec.guard


def _classes_last(input: Tensor, target: Tensor) -> Seen | None:
    """LH301, where as many steps as classes hide it: a linear layer puts the classes last."""
    shape = input.shape
    if input.ndim != 3 or shape[1] != shape[2] or target.is_floating_point():
        return None
    view = input.grad_fn
    if type(view).__name__ not in ("ViewBackward0", "UnsafeViewBackward0"):
        return None
    flat: tuple[int, ...] = tuple(getattr(view, "_saved_self_sym_sizes", ()))
    layer = view.next_functions[0][0] if view is not None else None
    if len(flat) != 2 or int(flat[1]) != shape[2] or not is_trained_affine(layer):
        return None
    return Seen(
        "LH301",
        f"The input {shape_text(shape)} was made by a layer that has its {shape[2]} classes last; that "
        "dimension 1 has the same size hides it.",
    )


def _no_index(spec: LossSpec, input: Tensor, target: Tensor) -> Seen | None:
    """LH202: integers that could be class indices, in a dtype that torch does not take."""
    if not spec.by_class or spec.library != "torch" or target.dtype in _INDICES:
        return None
    if target.is_floating_point() or tuple(target.shape) != index_shape(input.shape):
        return None
    return Seen(
        "LH202", f"The target {shape_text(target.shape)} is {target.dtype}; torch takes int64 and uint8."
    )
