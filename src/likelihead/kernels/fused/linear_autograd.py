"""How an op of a linear head is differentiated, and how torch knows it.

The gradients of a *reduced* loss are made in the forward pass, chunk by chunk while the logits are there. The
first backward gives them away; any further makes them anew. Those of per-token values are made in the
backward pass, which computes the logits of a chunk again.

What this does not differentiate goes through the logits and the reference backend: second derivatives,
forward mode, the transforms of ``torch.func``, and derivatives by anything but the head and its input.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from likelihead.core.reduction import Normalizer
from likelihead.core.reduction import reduce as reduce_values
from likelihead.kernels.fused.calls import PLAIN, is_batched, needs_reference
from likelihead.kernels.fused.linear_chunks import Wanted, looks
from likelihead.kernels.ops import compute_dtype

__all__ = ["LinearOp", "goes_through_logits", "or_nothing"]


def goes_through_logits(hidden: Tensor, weight: Tensor, *others: Tensor | None) -> bool:
    """Whether the call is differentiated, or made of tensors, that the chunks do not serve."""
    return (
        needs_reference(*others)
        or torch._C._get_tracing_state() is not None
        or not all(type(t) in PLAIN or isinstance(t, FakeTensor) for t in (hidden, weight))
    )


class LinearOp(ABC):
    """Three torch ops in one: the values of each token, their gradients, and the reduced loss with its own.

    The ``arguments`` of an op, as in its schema, are hidden states, weight and bias, then whatever it has.

    Attributes:
        name: of the values; the others append ``_backward`` and ``_loss``.
        schema: of the arguments.
        arity: how many they are.
        requests: schema of what the values take besides, what is asked for.
        results: schema of the values.
        upstreams: how many of the values have gradients, the first ones.
    """

    name: str
    schema: str
    arity: int
    requests: str = ""
    results: str
    upstreams: int

    @abstractmethod
    def run(
        self, arguments: Sequence[Any], upstream: Sequence[Tensor | None], wanted: Wanted, *requests: Any
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor | None, ...]]:
        """The values, the first of them that of the loss, and the gradients that are wanted."""

    @abstractmethod
    def count(self, arguments: Sequence[Any]) -> Tensor | int:
        """What a mean divides by."""

    @abstractmethod
    def by_logits(self, arguments: Sequence[Any], *requests: Any) -> tuple[Tensor | None, ...]:
        """The values on the reference backend."""

    @abstractmethod
    def loss_by_logits(self, arguments: Sequence[Any], reduction: str, normalizer: Any) -> Tensor:
        """The loss on the reference backend."""

    @abstractmethod
    def shapes(self, arguments: Sequence[Any], *requests: Any) -> tuple[Tensor, ...]:
        """The values without their numbers."""

    def asked(self, *requests: Any) -> tuple[bool, ...]:
        """Which of the values that have gradients were asked for."""
        return (True,) * self.upstreams

    def loss(self, arguments: Sequence[Any], reduction: str, normalizer: Normalizer | None) -> Tensor:
        """The sum or the mean, of arguments that the chunks serve."""
        if isinstance(normalizer, Tensor):
            # Not read, which would wait for it and lose its graph: the gradient of the sum is scaled later.
            return reduce_values(self.loss(arguments, "sum", None), reduction, normalizer=normalizer)
        own = (reduction == "mean", None if normalizer is None else float(normalizer))
        hidden = arguments[0]
        asked = [torch.is_grad_enabled() and t is not None and t.requires_grad for t in arguments[:3]]
        known = type(hidden) in PLAIN and not hidden.is_meta
        if torch.compiler.is_compiling() or not known or not any(asked):
            # float16 would underflow before the loss scale of mixed precision comes from above.
            early = [want and hidden.dtype != torch.float16 for want in asked]
            loss: Tensor = getattr(torch.ops.likelihead, f"{self.name}_loss")(*arguments, *own, early)[0]
            return loss
        applied: Tensor = _Loss.apply(self, *own, *arguments)  # type: ignore[no-untyped-call]
        return applied

    # -- the torch ops ----------------------------------------------------------------------------

    def _values(self, *given: Any) -> Any:
        arguments, requests = given[: self.arity], given[self.arity :]
        values, _ = self.run(arguments, (None,) * self.upstreams, (False, False, False), *requests)
        return values if len(values) > 1 else values[0]

    def _backward(self, *given: Any) -> tuple[Tensor, ...]:
        upstream, arguments = given[: self.upstreams], given[self.upstreams : -1]
        return or_nothing(self.run(arguments, upstream, tuple(given[-1]))[1], arguments[0])

    def _loss(self, *given: Any) -> tuple[Tensor, ...]:
        arguments, (mean, normalizer, wanted) = given[: self.arity], given[self.arity :]
        count, one = self._share(arguments, mean, normalizer)
        upstream = (one if any(wanted) else None, *(None,) * (self.upstreams - 1))
        values, gradients = self.run(arguments, upstream, tuple(wanted))
        loss = reduce_values(values[0], "mean" if mean else "sum", count=count, normalizer=normalizer)
        return (loss, *or_nothing(gradients, arguments[0]))

    def _share(
        self, arguments: Sequence[Any], mean: bool, normalizer: float | None
    ) -> tuple[Tensor | int | None, Tensor]:
        """What the reduction divides by, and what that makes of an upstream gradient of 1 for each token."""
        hidden = arguments[0]
        one = torch.ones((), dtype=compute_dtype(hidden.dtype), device=hidden.device)
        if not mean:
            return None, one
        if normalizer is not None:
            return None, one / normalizer
        count = self.count(arguments)
        return count, (one / count).to(one.dtype)

    # -- their derivatives ------------------------------------------------------------------------

    def gradients(
        self, upstream: Sequence[Tensor | None], arguments: Sequence[Any], wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        """Those of the values, by their torch op."""
        op = getattr(torch.ops.likelihead, f"{self.name}_backward")
        return _those(op(*upstream, *arguments, list(wanted)), wanted)

    def anew(
        self, upstream: Tensor, arguments: Sequence[Any], own: Sequence[Any], wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        """The gradients of the reduced loss from the start; ``own`` are its mean and normalizer."""
        mean, normalizer = own
        if not torch.is_grad_enabled() and not torch._C._are_functorch_transforms_active():
            one = self._share(arguments, mean, normalizer)[1] * upstream
            return self.gradients((one, *(None,) * (self.upstreams - 1)), arguments, wanted)

        def loss() -> tuple[Tensor]:
            return (self.loss_by_logits(arguments, "mean" if mean else "sum", normalizer),)

        return _differentiated(loss, arguments, (upstream,), wanted)

    def _values_derivative(self, ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        given, _ = _saved(ctx)
        arguments, requests = given[: self.arity], given[self.arity :]
        nothing = (None,) * (len(given) - 3)
        ups = [
            up if asked else None  # else of nothing
            for up, asked in zip(upstream[: self.upstreams], self.asked(*requests), strict=True)
        ]
        if all(up is None for up in ups):
            return (None, None, None, *nothing)
        wanted = ctx.needs_input_grad[:3]
        if not torch.is_grad_enabled():
            return (*self.gradients(ups, arguments, wanted), *nothing)

        def values() -> Sequence[Tensor | None]:
            return self.by_logits(arguments, *requests)[: self.upstreams]

        return (*_differentiated(values, arguments, ups, wanted), *nothing)

    def _loss_derivative(self, ctx: Any, upstream: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        (*arguments, mean, normalizer, early), made = _saved(ctx)
        nothing = (None,) * self.arity
        if upstream is None:
            return (None, None, None, *nothing)
        wanted = list(ctx.needs_input_grad[:3])
        if torch.is_grad_enabled() or wanted != list(early):
            return (*self.anew(upstream, arguments, (mean, normalizer), wanted), *nothing)
        return (*_those([(g * upstream).to(g.dtype) for g in made], wanted), *nothing)

    # -- what the compiler, the exporter and autograd ask of them ---------------------------------

    def register(self) -> torch.library.Library:
        """Make the ops known to torch, for as long as what is returned is kept."""
        library = torch.library.Library("likelihead", "FRAGMENT")  # type: ignore[no-untyped-call]
        made = "Tensor hidden, Tensor weight, Tensor bias)"
        grads = ", ".join(f"Tensor? grad_{k}" for k in range(self.upstreams))

        def values_fake(*given: Any) -> Any:
            values = self.shapes(given[: self.arity], *given[self.arity :])
            return values if len(values) > 1 else values[0]

        def backward_fake(*given: Any) -> tuple[Tensor, ...]:
            return _like_inputs(given[self.upstreams :])

        def loss_fake(*given: Any) -> tuple[Tensor, ...]:
            loss = given[0].new_empty((), dtype=compute_dtype(given[0].dtype))
            return (loss, *_like_inputs(given))

        ops: dict[str, tuple[str, Callable[..., Any], Callable[..., Any]]] = {
            "": (f"({self.schema}{self.requests}) -> {self.results}", self._values, values_fake),
            "_backward": (
                f"({grads}, {self.schema}, bool[3] wanted) -> ({made}",
                self._backward,
                backward_fake,
            ),
            "_loss": (
                f"({self.schema}, bool mean, float? normalizer, bool[3] wanted) -> (Tensor loss, {made}",
                self._loss,
                loss_fake,
            ),
        }
        for suffix, (schema, function, fake) in ops.items():
            name = self.name + suffix
            library.define(name + schema)  # type: ignore[no-untyped-call]
            library.impl(name, function, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
            torch.library.register_fake(f"likelihead::{name}", fake, lib=library)
        for suffix, derivative, save in (
            ("", self._values_derivative, _save_values),
            ("_loss", self._loss_derivative, _save_loss),
        ):
            torch.library.register_autograd(
                f"likelihead::{self.name}{suffix}", derivative, setup_context=save, lib=library
            )
        return library


class _Loss(torch.autograd.Function):
    """The reduced loss of plain tensors."""

    @staticmethod
    def forward(ctx: Any, op: LinearOp, mean: bool, normalizer: float | None, *arguments: Any) -> Tensor:
        ctx.op, ctx.own, ctx.wanted = op, (mean, normalizer), tuple(ctx.needs_input_grad[3:6])
        # float16 would underflow before the loss scale of mixed precision comes from above.
        early = arguments[0].dtype != torch.float16 and not _recomputed()
        loss, *made = op._loss(*arguments, *ctx.own, ctx.wanted if early else (False,) * 3)
        ctx.made = [made] if early else []
        _save(ctx, arguments)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        made = None
        if not torch.is_grad_enabled() and not torch._C._are_functorch_transforms_active():
            made = _scaled(ctx, upstream)
        if made is None:
            made = ctx.op.anew(upstream, _saved(ctx)[0], ctx.own, ctx.wanted)
        return (None, None, None, *made, *(None,) * (ctx.op.arity - 3))


def _recomputed() -> bool:
    """Whether a checkpoint computes the forward pass again for what it saves, not to differentiate it.

    That happens within a backward pass and with hooks on what is saved; the reentrant kind has no hooks, and
    differentiates what it computes.
    """
    if torch._C._current_graph_task_id() == -1:
        return False
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is not None


def _scaled(ctx: Any, upstream: Tensor) -> list[Tensor | None] | None:
    """The gradients of the forward pass, times the upstream gradient, where they are still there."""
    if is_batched(upstream):  # several upstream gradients at once, in one tensor that shows as one number
        return None
    try:
        made = ctx.made.pop()  # atomic: of two concurrent backwards one gets it
    except IndexError:
        return None
    wanted = _those(made, ctx.wanted)
    if looks(upstream.device) and upstream.item() == 1:
        return wanted
    return [None if g is None else g.mul_(upstream) for g in wanted]


def _save_values(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    _save(ctx, inputs)
    ctx.set_materialize_grads(False)


def _save_loss(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    _save(ctx, inputs, output[1:])
    ctx.set_materialize_grads(False)


def _save(ctx: Any, inputs: tuple[Any, ...], made: tuple[Tensor, ...] = ()) -> None:
    """Keep the arguments, and the gradients that were made with a loss."""
    ctx.numbers = [None if isinstance(each, Tensor) else each for each in inputs]
    ctx.save_for_backward(*(each if isinstance(each, Tensor) else None for each in inputs), *made)


def _saved(ctx: Any) -> tuple[list[Any], list[Tensor]]:
    """What `_save` kept: the arguments, and the gradients."""
    tensors = list(ctx.saved_tensors)
    pairs = zip(tensors, ctx.numbers, strict=False)
    return [number if tensor is None else tensor for tensor, number in pairs], tensors[len(ctx.numbers) :]


def _no_autocast(like: Tensor) -> AbstractContextManager[Any]:
    """For what is differentiated: in the dtypes of the forward pass, which autocast has given already."""
    return nullcontext() if like.is_meta else torch.autocast(like.device.type, enabled=False)


def _differentiated(
    values: Callable[[], Sequence[Tensor | None]],
    arguments: Sequence[Any],
    upstream: Sequence[Tensor | None],
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """The gradients through the logits, which can be differentiated again."""
    with torch.enable_grad(), _no_autocast(arguments[0]):
        pairs = zip(values(), upstream, strict=True)
        known = [(value, up) for value, up in pairs if value is not None and up is not None]
        asked = [t for t, want in zip(arguments[:3], wanted, strict=True) if want]
        found = iter(
            torch.autograd.grad([v for v, _ in known], asked, [up for _, up in known], create_graph=True)
        )
    return [next(found) if want else None for want in wanted]


def _those(gradients: Sequence[Tensor], wanted: Sequence[bool]) -> list[Tensor | None]:
    return [gradient if want else None for gradient, want in zip(gradients, wanted, strict=True)]


def or_nothing(tensors: Sequence[Tensor | None], like: Tensor) -> tuple[Tensor, ...]:
    """As the ops return them, which know no None."""
    return tuple(like.new_empty(0) if tensor is None else tensor for tensor in tensors)


def _like_inputs(given: Sequence[Any]) -> tuple[Tensor, ...]:
    """The gradients without their numbers, of arguments that end in which of them are wanted."""
    return tuple(
        torch.empty_like(t, memory_format=torch.contiguous_format)
        if want and t is not None
        else given[0].new_empty(0)
        for t, want in zip(given[:3], given[-1], strict=True)
    )
