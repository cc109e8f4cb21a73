"""Keras 3 on torch: what its losses are given, when ``fit`` or a loop of one's own calls them.

Its cross-entropies take probabilities and the logarithm themselves unless they are told ``from_logits=True``,
and have the classes last. Keras may be imported at any time, so the tap is placed when its module is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from likelihead.guard.report import LossName, shape_text
from likelihead.watch.call import LossCall
from likelihead.watch.checks.base import Check
from likelihead.watch.losses import LossSpec
from likelihead.watch.taps import Around, Taps

if TYPE_CHECKING:
    from likelihead.watch.engine import Engine

__all__ = ["KerasProbabilities", "place", "remove"]

_MODULE = "keras.src.losses.loss"
_NAMES = ("y_pred", "y_true", "sample_weight")
# By the name of the function: what the guard calls it, told that it is given logits, and the classes' place.
_LOGITS: dict[str, LossName] = {
    "binary_crossentropy": "bce_with_logits",
    "categorical_crossentropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
}


class _Finder:
    """Asked for every module that is imported; knows one, and puts the tap in place once that has run."""

    def __init__(self, engine: Engine, taps: Taps) -> None:
        self.engine, self.taps = engine, taps

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _MODULE:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                if self in sys.meta_path:  # still watching
                    _tap(module, self.engine, self.taps)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def place(engine: Engine, taps: Taps) -> None:
    """Put a tap around Keras's losses, now or as soon as they are imported."""
    module = sys.modules.get(_MODULE)
    if module is not None:
        _tap(module, engine, taps)
    else:
        sys.meta_path.insert(0, _Finder(engine, taps))


def remove() -> None:
    """Wait for Keras no longer."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]


def _tap(module: ModuleType, engine: Engine, taps: Taps) -> None:
    taps.place(module.Loss, "__call__", _loss(engine))


def _loss(engine: Engine) -> Around:
    def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = dict(zip(("self", "y_true", "y_pred", "sample_weight"), args, strict=False)) | kwargs
        loss, target, input = given.get("self"), given.get("y_true"), given.get("y_pred")
        function = getattr(getattr(loss, "fn", None), "__name__", "")
        if (
            loss is None
            or function not in _LOGITS
            or not isinstance(input, Tensor)
            or not isinstance(target, Tensor)
        ):
            return original(*args, **kwargs)
        options = dict(getattr(loss, "_fn_kwargs", {}))
        spec = _spec(function, bool(options.get("from_logits", False)))
        seen = _as_rows(engine, input, target, sparse=function.startswith("sparse"), spec=spec)
        carried = {
            "reduction": {"sum": "sum", "none": "none", None: "none"}.get(loss.reduction, "mean"),
            "label_smoothing": float(options.get("label_smoothing") or 0.0),
        }
        if options.get("axis", -1) not in (-1, input.dim() - 1) or seen is None:
            return original(*args, **kwargs)
        return engine.loss(spec, lambda *_: original(*args, **kwargs), seen, {}, carried)

    return around


def _spec(function: str, from_logits: bool) -> LossSpec:
    guard: LossName | None = _LOGITS[function]
    if not from_logits:
        guard = "bce" if function == "binary_crossentropy" else None
    return LossSpec(function, "logits" if from_logits else "probabilities", guard, _NAMES, "keras")


def _as_rows(
    engine: Engine, input: Tensor, target: Tensor, *, sparse: bool, spec: LossSpec
) -> tuple[Tensor, Tensor] | None:
    """Input and target as torch's losses take them: the classes second, class indices without a dimension."""
    with torch._C.DisableTorchFunction(), torch.no_grad():
        if sparse:
            target = target.reshape(-1).long()
        if input.dim() > 2 and spec.name != "binary_crossentropy":
            tag = engine.book.get(input) if engine.deep else None
            last = input.dim() - 1
            input = input.flatten(0, -2)
            target = target if sparse else target.flatten(0, -2)
            if tag is not None:
                engine.book.put(input, tag.but(dim=1 if tag.dim == last else None))
        if sparse and (input.dim() != 2 or len(target) != len(input)):
            return None
    return input, target


class KerasProbabilities(Check):
    """LH104, LH105, LH108: what a cross-entropy of Keras takes for probabilities."""

    def call(self, call: LossCall) -> None:
        if call.spec.library != "keras" or call.spec.expects != "probabilities" or call.input is None:
            return
        if call.input.device.type != "cpu" or call.input.numel() == 0:
            return
        some = call.input.detach()[:64].float()
        low, high = float(some.min()), float(some.max())
        values = {"smallest": low, "largest": high}
        made_at = None if call.input_tag is None else call.input_tag.at
        seen = f"The input {shape_text(call.input_shape)} holds numbers from {low:.6g} to {high:.6g}"
        meant = "and this loss takes the logarithm of probabilities itself unless it has from_logits=True."
        kind = None if call.input_tag is None else call.input_tag.kind
        if low >= -1e-6 and high <= 1 + 1e-3:
            return
        if call.spec.guard == "bce":
            code = "LH108"
        elif high <= 1e-6 and (kind == "log_softmax" or bool((some.exp().sum(-1) - 1).abs().max() < 1e-3)):
            code = "LH104"
        else:
            code = "LH105"
        self.session.sites[call.key].fits = False
        self.session.found(code, call.at, f"{seen}, {meant}", step=call.step, made_at=made_at, values=values)
