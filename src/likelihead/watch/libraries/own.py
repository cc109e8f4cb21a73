"""The losses of likelihead: its functions, which its modules call, and the likelihoods."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from likelihead import functional
from likelihead.guard.report import LossName
from likelihead.likelihoods.base import Likelihood
from likelihead.likelihoods.binary import BinaryLikelihood
from likelihead.likelihoods.categorical import Categorical
from likelihead.watch.losses import LOSSES, Expected, LossSpec
from likelihead.watch.mode import readable
from likelihead.watch.taps import Around, Taps

if TYPE_CHECKING:
    from likelihead.watch.engine import Engine

__all__ = ["place"]

# Of a linear loss: what its input and target are called. Nothing is expected of hidden states.
_LINEAR = {
    "linear_cross_entropy": ("input", "target"),
    "linear_kl": ("student_hidden", "teacher_hidden"),
    "linear_kl_topk": ("student_hidden", "teacher_log_probs"),
}
# Those that torch has not.
_MORE: dict[str, tuple[Expected, LossName | None]] = {
    "focal_loss": ("logits", "cross_entropy"),
    "binary_focal_loss": ("logits", "bce_with_logits"),
    "language_model_loss": ("logits", "cross_entropy"),
    **dict.fromkeys(_LINEAR, ("numbers", None)),
    **dict.fromkeys(
        ("dice_loss", "jaccard_loss", "tversky_loss", "focal_tversky_loss", "lovasz_loss"),
        ("probabilities", None),  # or logits, if from_logits=True says so: see checks.link
    ),
}


def place(engine: Engine, taps: Taps) -> None:
    """Put taps around them."""
    for name in dict.fromkeys((*LOSSES, *_MORE)):
        function = vars(functional).get(name)
        if function is not None:
            around = (
                _sequences if name == "language_model_loss" else _linear if name in _LINEAR else _function
            )
            taps.place(functional, name, around(engine, _spec(name, function)))
    for owner in (Likelihood, BinaryLikelihood, Categorical):
        taps.place(owner, "forward", _likelihood(engine))


def _spec(name: str, function: Any) -> LossSpec:
    expects, guard = _MORE[name] if name in _MORE else (LOSSES[name].expects, LOSSES[name].guard)
    return LossSpec(name, expects, guard, tuple(inspect.signature(function).parameters), "likelihead")


def _function(engine: Engine, spec: LossSpec) -> Around:
    def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return engine.loss(spec, original, args, kwargs)

    return around


def _linear(engine: Engine, spec: LossSpec) -> Around:
    shown = replace(spec, names=_LINEAR[spec.name])

    def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = spec.bound(args, kwargs)
        seen = tuple(given.pop(name, None) for name in shown.names)
        options = {name: value for name, value in given.items() if name in _CARRIED}
        return engine.loss(shown, lambda *_: original(*args, **kwargs), seen, {}, options)

    return around


def _sequences(engine: Engine, spec: LossSpec) -> Around:
    """The classes come last there; shown to the checks as a cross-entropy has them, second."""
    loose = replace(spec, guard=None)

    def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = spec.bound(args, kwargs)
        logits, targets = given.pop("logits", None), given.pop("targets", None)
        if not (readable(logits) and readable(targets)) or logits.dim() != 3 or targets.dim() != 2:
            return engine.loss(loose, original, args, kwargs)
        with torch._C.DisableTorchFunction(), torch.no_grad():
            seen, meant = logits.movedim(-1, 1), targets
            if given.pop("shift", False) is True:
                seen, meant = seen[:, :, :-1], targets[:, 1:]
        tag = engine.book.get(logits) if engine.deep else None
        if tag is not None:
            engine.book.put(seen, tag.but(dim=1 if tag.dim == 2 else None))
        return engine.loss(spec, lambda *_, **__: original(*args, **kwargs), (seen, meant), given)

    return around


_GUARD: dict[str, LossName] = {
    "categorical": "cross_entropy",
    "bernoulli": "bce_with_logits",
    "multilabel": "bce_with_logits",
}
# What a likelihood holds that torch's losses are told in each call, and its defaults.
_CARRIED = {
    "weight": None,
    "pos_weight": None,
    "ignore_index": -100,
    "label_smoothing": 0.0,
    "reduction": "mean",
}


def _likelihood(engine: Engine) -> Around:
    def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        likelihood, *rest = args
        carried = {
            name: value
            for name, default in _CARRIED.items()
            if (value := getattr(likelihood, name, None)) is not None
            and not (isinstance(value, (int, float, str)) and value == default)
        }
        guard = _GUARD.get(likelihood.name)
        names = ("logits", "target", "sample_weight", "normalizer")
        spec = LossSpec(
            type(likelihood).__name__, "logits" if guard else "numbers", guard, names, "likelihead"
        )
        return engine.loss(spec, partial(original, likelihood), tuple(rest), kwargs, carried)

    return around
