"""For Hugging Face transformers: a loss without its logits, and the watch of a Trainer.

>>> from likelihead.integrations.huggingface import patch, unpatch

``Trainer(callbacks=[WatchCallback()])`` watches a training; transformers is imported when that name is asked
for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from importlib import import_module
from types import MethodType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from likelihead.core.options import check_flag, shown
from likelihead.errors import BackendError, OptionError
from likelihead.functional._linear import as_chunk, as_compact
from likelihead.integrations._heads import Linear, linear_of
from likelihead.integrations._unmade_logits import UnmadeLogits

__all__ = ["patch", "unpatch"]  # and WatchCallback

Model = TypeVar("Model", bound=nn.Module)

_STATE = "_likelihead_patch"


@dataclass
class _Patch:
    skip_logits: bool | None
    chunk_tokens: int | None
    compact: bool | None
    method: MethodType
    previous: Callable[..., Any] | None


@dataclass
class _Making:
    linear: Callable[[Tensor], Linear]
    chunk_tokens: int | None
    compact: bool | None
    made: list[UnmadeLogits]


def patch(
    model: Model,
    *,
    skip_logits: bool | None = None,
    chunk_tokens: int | None = None,
    compact: bool | None = None,
) -> Model:
    """Let a causal language model compute its loss by `linear_cross_entropy`, without its logits.

    The model's own forward goes on to run. Where it is given labels in training, its head hands on what
    stands for the logits: the model scales and caps it, its loss function shifts the labels and divides by
    ``num_items_in_batch``, an auxiliary loss is added, all as before; only the cross-entropy is computed in
    chunks of tokens, and ``logits`` is None. In every other call, as in evaluation or with
    ``logits_to_keep``, the model does what it did, and returns logits. A call may say ``skip_logits=True`` or
    ``False`` itself.

    Args:
        model: a model of transformers 5 that has an output head and takes labels, or a peft model around one.
            It is changed in place, and stays what it is to ``isinstance``, ``state_dict`` and the Trainer.
        skip_logits: None leaves the logits out in training alone, True in evaluation as well, False only
            where a call asks for that.
        chunk_tokens: as in `linear_cross_entropy`.
        compact: as in `linear_cross_entropy`: True spares the products of prompts and padding on a GPU too,
            which is waited for once in each step.

    Returns:
        The same model.

    Raises:
        OptionError: no causal language model; one that is patched already.
        BackendError: a head that is not known to be a linear map: quantised, sharded, of a type of its own.
            And in a call, a forward that does something else with its logits than take their cross-entropy.
    """
    target = _inner(model)
    if _state_of(target) is not None:
        raise OptionError(
            f"model, a {type(target).__name__}, is patched already; call unpatch(model) first to change it."
        )
    if skip_logits is not None:
        check_flag("skip_logits", skip_logits)
    as_chunk(chunk_tokens)
    as_compact(compact)
    linear_of(_head(target))
    previous = vars(target).get("forward")
    method = MethodType(_forward(type(target).forward, previous), target)
    setattr(target, _STATE, _Patch(skip_logits, chunk_tokens, compact, method, previous))
    target.forward = method
    return model


def __getattr__(name: str) -> Any:
    if name == "WatchCallback":
        return _watch_callback()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _watch_callback() -> type[Any]:
    base: Any = import_module("transformers").TrainerCallback

    from likelihead.watch.block import watch

    class WatchCallback(base):  # type: ignore[misc]  # known when it runs
        """Watch ``trainer.train``, its evaluations included, and show the report at its end.

        A training that raises does not tell its callbacks; call `finish` then, or use the block
        ``with likelihead.watch():`` around it.

        Args:
            options: those of `likelihead.watch`: ``fail_fast``, ``accelerate``, ``costs``, ``json``,
                ``html``, ``show``.
        """

        def __init__(self, **options: Any) -> None:
            self.watch = watch(**options)

        @property
        def record(self) -> Any:
            """What was seen, once the training has ended."""
            return self.watch.record

        def finish(self) -> None:
            """End, where the training could not."""
            self.watch.__exit__(None, None, None)

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            """Begin."""
            self.watch.__enter__()

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            """End, and show the report."""
            self.finish()

    WatchCallback.__module__ = __name__
    return WatchCallback


def unpatch(model: Model) -> Model:
    """Undo `patch`: the model is as it was, and returned.

    Raises:
        OptionError: it is not patched.
    """
    target = _inner(model)
    state = _state_of(target)
    if state is None:
        raise OptionError(f"model, a {type(target).__name__}, is not patched.")
    delattr(target, _STATE)
    if vars(target).get("forward") == state.method:
        del target.forward
        if state.previous is not None:
            target.forward = state.previous
    # Else it was wrapped since, by accelerate for one; without the state, what is inside passes all calls on.
    return model


def _state_of(model: Any) -> _Patch | None:
    state: _Patch | None = vars(model).get(_STATE)
    # Pickled whole, a model comes back with the forward of its class.
    return None if state is None or state.method.__func__ is type(model).forward else state


def _forward(of_class: Callable[..., Any], previous: Callable[..., Any] | None) -> Callable[..., Any]:
    order = list(inspect.signature(of_class).parameters)[1:]

    # The Trainer reads the columns off the signature, and whether it takes num_items_in_batch. torch.compile
    # leaves this frame alone and compiles what it calls.
    @wraps(of_class)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = MethodType(of_class, self) if previous is None else previous
        state = _state_of(self)
        if state is None:
            return call(*args, **kwargs)
        given = dict(zip(order, args, strict=False)) | kwargs
        skip = kwargs.pop("skip_logits", None)
        skip = state.skip_logits if skip is None else skip
        if skip is None:
            kept = given.get("logits_to_keep")
            skip = self.training and (kept is None or (isinstance(kept, int) and kept == 0))
        if given.get("labels") is None or not skip:
            return call(*args, **kwargs)
        with _without_logits(_head(self), state) as made:
            outputs = call(*args, **kwargs)
        return _checked(outputs, made, type(self).__name__)

    return torch.compiler.disable(forward, recursive=False)  # type: ignore[no-untyped-call, no-any-return]


@contextmanager
def _without_logits(head: Any, state: _Patch) -> Iterator[list[UnmadeLogits]]:
    making = _Making(linear_of(head), state.chunk_tokens, state.compact, [])
    setattr(head, _STATE, making)
    head.forward = MethodType(_left_alone(), head)
    try:
        yield making.made
    finally:
        del head.forward
        delattr(head, _STATE)


@cache
def _left_alone() -> Callable[..., UnmadeLogits]:
    """`_unmade` as torch.compile leaves it alone; made when it is needed, since it loads the compiler."""
    return torch.compiler.disable(_unmade)  # type: ignore[no-untyped-call, no-any-return]


def _unmade(head: Any, hidden: Tensor) -> UnmadeLogits:
    """A head's forward, while its model computes a loss."""
    making: _Making = vars(head)[_STATE]
    states, weight, bias = making.linear(hidden)
    device = states.device.type
    casts = states.dtype != torch.float64 and torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if casts else states.dtype
    making.made.append(UnmadeLogits(states, weight, bias, dtype, making.chunk_tokens, making.compact))
    return making.made[-1]


def _checked(outputs: Any, made: list[UnmadeLogits], name: str) -> Any:
    """The outputs with None where the logits would be."""
    loss = outputs[0] if isinstance(outputs, tuple) else outputs.get("loss")
    if not made or not isinstance(loss, Tensor):
        raise BackendError(
            f"{name} was given labels and computed "
            + ("no loss from its logits" if made else "its logits by something else than its output head")
            + "; call it with skip_logits=False, or unpatch(model)."
        )
    if isinstance(outputs, tuple):
        return tuple(None if isinstance(value, UnmadeLogits) else value for value in outputs)
    # Made anew: a ModelOutput lets no field become None.
    return type(outputs)(**{k: v for k, v in outputs.items() if not isinstance(v, UnmadeLogits)})


def _head(model: Any) -> Any:
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Module):
        raise OptionError(f"model is a {type(model).__name__}, which has no output head; {_EXPECTED}")
    return head


_EXPECTED = "expected a causal language model of transformers, such as LlamaForCausalLM."


def _inner(model: Any) -> Any:
    """The model itself, of a peft model the one inside."""
    if not isinstance(model, nn.Module):
        raise OptionError(f"model is {shown(model)}; {_EXPECTED}")
    if "_orig_mod" in model._modules:
        raise OptionError("model is compiled; patch the model first and compile it then.")
    inner: Any = model
    if callable(getattr(inner, "get_base_model", None)):
        inner = inner.get_base_model()
    kind = type(inner)
    if not callable(getattr(inner, "get_output_embeddings", None)):
        wraps_one = isinstance(getattr(inner, "module", None), nn.Module)
        hint = " Pass the model that it wraps." if wraps_one else ""
        raise OptionError(f"model is {shown(inner)}; {_EXPECTED}{hint}")
    if "labels" not in inspect.signature(kind.forward).parameters:
        raise OptionError(f"model is a {kind.__name__}, whose forward takes no labels; {_EXPECTED}")
    return inner
