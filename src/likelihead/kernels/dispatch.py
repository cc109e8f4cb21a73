"""Which backend serves a call: by device, dtype and the user's choice, and the words to explain it.

There is no silent fallback: a backend that is asked for by name serves the call or the call raises.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from likelihead.core.devices import check_dense, check_devices, is_dense
from likelihead.core.reduction import Normalizer
from likelihead.errors import BackendError, BackendWarning, DTypeError, OptionError
from likelihead.kernels.fused.calls import PLAIN
from likelihead.kernels.fused.linear_chunks import SOFTMAX, Softmax
from likelihead.kernels.fused.linear_kl import linear_kl as _linear_kl
from likelihead.kernels.fused.linear_softmax_nll import linear_softmax_loss as _linear_softmax_loss
from likelihead.kernels.fused.linear_softmax_nll import linear_softmax_nll as _linear_softmax_nll
from likelihead.kernels.fused.registration import INTERPRETED
from likelihead.kernels.fused.sharding import register_strategies
from likelihead.kernels.fused.sigmoid_nll import sigmoid_loss as _fused_sigmoid_loss
from likelihead.kernels.fused.sigmoid_nll import sigmoid_nll as _fused_sigmoid_nll
from likelihead.kernels.fused.softmax_nll import softmax_loss as _fused_softmax_loss
from likelihead.kernels.fused.softmax_nll import softmax_nll as _fused_softmax_nll
from likelihead.kernels.native._library import absent as _native_absent
from likelihead.kernels.native.plain import sigmoid_plain as _native_sigmoid_plain
from likelihead.kernels.native.plain import softmax_plain as _native_softmax_plain
from likelihead.kernels.ops import (
    KLOptions,
    LinearKL,
    LinearSoftmaxLoss,
    LinearSoftmaxNLL,
    LinearValues,
    SigmoidLoss,
    SigmoidNLL,
    SigmoidOptions,
    SoftmaxLoss,
    SoftmaxNLL,
    SoftmaxOptions,
    check_head,
)
from likelihead.kernels.portable.calls import unserved as _portable_unserved
from likelihead.kernels.portable.sigmoid_nll import sigmoid_loss as _portable_sigmoid_loss
from likelihead.kernels.portable.sigmoid_nll import sigmoid_nll as _portable_sigmoid_nll
from likelihead.kernels.portable.small import sigmoid_plain as _portable_sigmoid_plain
from likelihead.kernels.portable.small import softmax_plain as _portable_softmax_plain
from likelihead.kernels.portable.softmax_nll import softmax_loss as _portable_softmax_loss
from likelihead.kernels.portable.softmax_nll import softmax_nll as _portable_softmax_nll
from likelihead.kernels.portable.softmax_nll import softmax_of_chunk, softmax_of_chunk_
from likelihead.kernels.reference.linear_kl import linear_kl as _reference_linear_kl
from likelihead.kernels.reference.linear_softmax_nll import (
    linear_softmax_loss as _reference_linear_softmax_loss,
)
from likelihead.kernels.reference.linear_softmax_nll import (
    linear_softmax_nll as _reference_linear_softmax_nll,
)
from likelihead.kernels.reference.sharding import register_strategies as register_reference_strategies
from likelihead.kernels.reference.sigmoid_nll import sigmoid_loss as _reference_sigmoid_loss
from likelihead.kernels.reference.sigmoid_nll import sigmoid_nll as _reference_sigmoid_nll
from likelihead.kernels.reference.softmax_nll import softmax_loss as _reference_softmax_loss
from likelihead.kernels.reference.softmax_nll import softmax_nll as _reference_softmax_nll
from likelihead.kernels.triton.flags import synchronize
from likelihead.kernels.triton.library import absent as _triton_absent
from likelihead.kernels.triton.library import refuses as _triton_refuses
from likelihead.kernels.triton.plain import sigmoid_plain as _triton_sigmoid_plain
from likelihead.kernels.triton.plain import softmax_plain as _triton_softmax_plain

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "BackendStatus",
    "Choice",
    "backends",
    "explain",
    "linear_kl",
    "linear_softmax_loss",
    "linear_softmax_nll",
    "plain",
    "sigmoid_loss",
    "sigmoid_nll",
    "softmax_loss",
    "softmax_nll",
    "synchronize",
    "use_backend",
]

AUTO = "auto"


def _never(*_: object) -> None:
    return None


@dataclass(frozen=True)
class Backend:
    """One row of the dispatch table.

    Attributes:
        name: what `use_backend` calls it.
        ops: the ops it has.
        absent: why it cannot be used on this machine, or None.
        refuses: why it cannot serve these logits, or None.
        fast: whether another that serves in its place, and is not, is worth a warning.
        remark: what else there is to say of how it serves these logits, or None.
    """

    name: str
    ops: dict[str, Callable[..., Any]]
    absent: Callable[[], str | None]
    refuses: Callable[[Tensor], str | None]
    fast: bool = False
    remark: Callable[[Tensor], str | None] = _never


_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def _refuses(logits: Tensor) -> str | None:
    """What is beyond every backend."""
    if logits.dtype not in _DTYPES:
        return f"it does not take {logits.dtype}"
    if not is_dense(logits):
        return "it takes dense tensors only"
    return None


def _remedy(logits: Tensor) -> str:
    if logits.dtype not in _DTYPES:
        return f"these {list(logits.shape)} logits want converting, with logits.float() say"
    if not is_dense(logits):
        return "pass logits.to_dense()"
    return "use_backend('auto') picks one that can"


def _native_refuses(logits: Tensor) -> str | None:
    if not (logits.is_cpu or logits.is_meta):
        return f"it runs on the CPU, and the logits are on {logits.device.type}"
    return _refuses(logits)


def _portable_remark(logits: Tensor) -> str | None:
    why = _portable_unserved(logits)
    return None if why is None else f"it leaves these logits to the reference's formulas: {why}"


# One op for all devices; which kernel serves it is torch's dispatcher's business.
_FUSED: dict[str, Callable[..., Any]] = {
    "softmax_nll": _fused_softmax_nll,
    "softmax_loss": _fused_softmax_loss,
    "sigmoid_nll": _fused_sigmoid_nll,
    "sigmoid_loss": _fused_sigmoid_loss,
}


def _linear(backend: str) -> dict[str, Callable[..., Any]]:
    # No functools.partial, which torch.compile does not look into.
    def nll(*args: Any, **kwargs: Any) -> LinearValues:
        return _linear_softmax_nll(*args, backend=backend, **kwargs)

    def loss(*args: Any, **kwargs: Any) -> Tensor:
        return _linear_softmax_loss(*args, backend=backend, **kwargs)

    def kl(*args: Any, **kwargs: Any) -> Tensor:
        return _linear_kl(*args, backend=backend, **kwargs)

    return {"linear_softmax_nll": nll, "linear_softmax_loss": loss, "linear_kl": kl}


def _op(name: str) -> Callable[..., Any]:
    """The torch op, looked up when it is called: a backend that is absent has not declared it."""

    def call(*arguments: Any) -> Any:
        return getattr(torch.ops.likelihead, name)(*arguments)

    return call


def _kernel(name: str) -> Callable[[torch.device], Callable[..., Any] | None]:
    """The torch op on a device that it has a kernel for, elsewhere None."""
    call, full = _op(name), f"likelihead::{name}"

    def find(device: torch.device) -> Callable[..., Any] | None:
        known = hasattr(torch.ops.likelihead, name) and device.type in ("cpu", "cuda")
        found = known and torch._C._dispatch_has_kernel_for_dispatch_key(full, device.type.upper())
        return call if found else None

    return find


SOFTMAX["native"] = SOFTMAX["triton"] = Softmax(
    _op("softmax_nll"), _op("softmax_nll_"), _kernel("softmax_scores_"), _kernel("softmax_kl_")
)
SOFTMAX["portable"] = Softmax(softmax_of_chunk, softmax_of_chunk_)

# The first that can serve a call serves it.
_BACKENDS: tuple[Backend, ...] = (
    Backend(
        name="native",
        ops={
            **_FUSED,
            **_linear("native"),
            "softmax_plain": _native_softmax_plain,
            "sigmoid_plain": _native_sigmoid_plain,
        },
        absent=_native_absent,
        refuses=_native_refuses,
        fast=sys.platform != "win32",  # where no compiler goes with torch
    ),
    Backend(
        name="triton",
        ops={
            **_FUSED,
            **_linear("triton"),
            "softmax_plain": _triton_softmax_plain,
            "sigmoid_plain": _triton_sigmoid_plain,
        },
        absent=_triton_absent,
        refuses=_triton_refuses,
        fast=True,
    ),
    Backend(
        name="portable",
        ops={
            **_linear("portable"),
            "softmax_nll": _portable_softmax_nll,
            "softmax_loss": _portable_softmax_loss,
            "sigmoid_nll": _portable_sigmoid_nll,
            "sigmoid_loss": _portable_sigmoid_loss,
            "softmax_plain": _portable_softmax_plain,
            "sigmoid_plain": _portable_sigmoid_plain,
        },
        absent=_never,
        refuses=_refuses,
        remark=_portable_remark,
    ),
    Backend(
        name="reference",
        ops={
            "linear_softmax_nll": _reference_linear_softmax_nll,
            "linear_softmax_loss": _reference_linear_softmax_loss,
            "linear_kl": _reference_linear_kl,
            "softmax_nll": _reference_softmax_nll,
            "softmax_loss": _reference_softmax_loss,
            "sigmoid_nll": _reference_sigmoid_nll,
            "sigmoid_loss": _reference_sigmoid_loss,
        },
        absent=_never,
        refuses=_refuses,
    ),
)

# Of the Bernoulli ops; these are multiplied with, and torch lets them be 0-d on the CPU beside any device.
_SCALARS = ("weight", "pos_weight", "normalizer")

# Process-wide, as the flags of torch.backends are; a plain global is what torch.compile can guard on.
_selected: str = AUTO


@dataclass(frozen=True)
class BackendStatus:
    """A backend on this machine: ``reason`` says why it is not available, and is empty where it is."""

    name: str
    available: bool
    reason: str


@dataclass(frozen=True)
class Choice:
    """Which backend serves a call, and why."""

    op: str
    backend: str
    reason: str

    def __str__(self) -> str:
        return f"{self.op} runs on the {self.backend} backend: {self.reason}"


def backends() -> list[BackendStatus]:
    """Every backend that is built in, in order of preference.

    >>> [b.name for b in backends()]
    ['native', 'triton', 'portable', 'reference']
    """
    return [BackendStatus(b.name, (why := b.absent()) is None, why or "") for b in _BACKENDS]


class use_backend:
    """Choose the backend: ``"auto"``, or one by name, for the process.

    A plain call switches until the next; as a context manager it restores what was in force before.

    Raises:
        OptionError: no backend has that name.
        BackendError: it is absent on this machine.

    >>> import torch
    >>> with use_backend("reference"):
    ...     explain("softmax_nll", torch.zeros(2, 3)).backend
    'reference'
    """

    def __init__(self, name: str) -> None:
        global _selected
        if name != AUTO:
            backend = _by_name(name)
            why = backend.absent()
            if why is not None:
                raise BackendError(f"backend {name!r} is not available: {why}.")
        self._previous = _selected
        _selected = name

    def __enter__(self) -> use_backend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _selected
        _selected = self._previous


def explain(op: str, logits: Tensor) -> Choice:
    """Say which backend a call of ``op`` with these logits takes, and why.

    Args:
        op: ``"softmax_nll"`` or ``"sigmoid_nll"``.
        logits: the call's logits; only device, dtype, shape and strides are looked at.

    Raises:
        OptionError: no backend has that op.
        BackendError: the backend in force cannot serve these logits.
    """
    if not any(op in backend.ops for backend in _BACKENDS):
        known = sorted({name for backend in _BACKENDS for name in backend.ops})
        raise OptionError(f"op is {op!r}; expected one of {', '.join(known)}.")
    backend, reason = _choose(op, logits)
    remark = backend.remark(logits)
    return Choice(op, backend.name, reason if remark is None else f"{reason}; {remark}")


def _by_name(name: str) -> Backend:
    for backend in _BACKENDS:
        if backend.name == name:
            return backend
    known = ", ".join(repr(b.name) for b in _BACKENDS)
    raise OptionError(f"backend is {name!r}; expected 'auto' or one of {known}.")


def _serving(op: str, logits: Tensor) -> Callable[..., Any]:
    """The op of the backend that `_choose` names, without its words: they take longer than a small loss."""
    if _selected == AUTO:
        missed = None
        for backend in _BACKENDS:
            if op in backend.ops and backend.refuses(logits) is None:
                if backend.absent() is None:
                    if missed is not None and not backend.fast and not logits.is_meta:
                        _tell_of_slowness(op, backend, missed)
                    return backend.ops[op]
                if missed is None and backend.fast:
                    missed = backend
    return _choose(op, logits)[0].ops[op]


_told_of: set[str] = set()


def _tell_of_slowness(op: str, serving: Backend, missed: Backend) -> None:
    """Warn, once per process and missing backend, that it would be faster than the one that serves."""
    if torch.compiler.is_compiling() or missed.name in _told_of:
        return
    _told_of.add(missed.name)
    level, frame = 1, sys._getframe()
    while frame.f_back and str(frame.f_globals.get("__name__")).startswith(("likelihead.", "torch.")):
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"{op} runs on the {serving.name} backend, slower than the {missed.name} one, which is not "
        f"available: {missed.absent()}. This is said once; likelihead.use_backend by name, or a filter for "
        "likelihead.errors.BackendWarning, silences it.",
        BackendWarning,
        stacklevel=level,
    )


def _spread_over_ranks(logits: Tensor, *, classes: bool) -> None:
    """See to it that a distributed tensor can be served; any other tensor is left alone.

    Raises:
        BackendError: the classes are spread over ranks, so that no rank has the sum over them.
    """
    distributed = sys.modules.get("torch.distributed.tensor")  # not imported for those who do without
    if distributed is None or not isinstance(logits, distributed.DTensor):
        return
    if classes and any(placement.is_shard(1) for placement in logits.placements):
        raise BackendError(
            f"the logits are a DTensor of shape {list(logits.shape)} whose classes are spread over ranks "
            f"({', '.join(map(str, logits.placements))}), and the softmax runs over all of them. Gather them "
            "first, logits.redistribute(placements=[Replicate()]), or spread the examples, [Shard(0)]."
        )
    if not torch.compiler.is_compiling():
        register_reference_strategies()
        if _native_absent() is None or _triton_absent() is None:
            register_strategies()


def plain(op: str, on_cpu: bool) -> Callable[..., Tensor | None] | None:
    """``softmax_plain`` or ``sigmoid_plain`` of the backend in force for the CPU, or for GPUs; or None.

    The caller sees to it that the tensors are plain, on one device, float32 or float64. Where the op answers
    None, the general op is to serve.
    """
    return _plain(op, _selected, on_cpu)


@cache
def _plain(op: str, selected: str, on_cpu: bool) -> Callable[..., Tensor | None] | None:
    missed = None
    for backend in _BACKENDS:
        if selected not in (AUTO, backend.name) or op not in backend.ops:
            continue
        if not INTERPRETED and on_cpu == (backend.name == "triton"):
            continue
        if backend.absent() is None:
            if missed is not None and not backend.fast:
                _tell_of_slowness(op.replace("plain", "loss"), backend, missed)
            return backend.ops[op]
        if backend.fast:
            missed = missed or backend
    return None


def _choose(op: str, logits: Tensor) -> tuple[Backend, str]:
    if _selected != AUTO:
        backend = _by_name(_selected)
        why = _unfit(backend, op, logits)
        if why is not None:
            raise BackendError(f"use_backend({backend.name!r}) is in force, but {why}; {_remedy(logits)}.")
        return backend, f"use_backend({backend.name!r}) is in force"
    passed_over: list[str] = []
    for backend in _BACKENDS:
        why = backend.absent() or _unfit(backend, op, logits)
        if why is None:
            reason = f"the first that serves {logits.dtype} on {logits.device.type}"
            return backend, "; ".join([reason, *passed_over])
        passed_over.append(f"{backend.name} not: {why}")
    raise BackendError(f"no backend serves {op}: {'; '.join([*passed_over, _remedy(logits)])}.")


def _unfit(backend: Backend, op: str, logits: Tensor) -> str | None:
    if op not in backend.ops:
        return f"it has no {op}"
    return backend.refuses(logits)


def softmax_nll(logits: Tensor, target: Tensor, **options: Unpack[SoftmaxOptions]) -> tuple[Tensor, Tensor]:
    """Categorical NLL and logsumexp on the backend in force; see `likelihead.kernels.ops.SoftmaxNLL`."""
    if type(logits) not in PLAIN:
        _spread_over_ranks(logits, classes=True)
    check_devices("logits", logits, target=target, **options)
    check_dense(target=target, **options)
    op = cast(SoftmaxNLL, _serving("softmax_nll", logits))
    return op(logits, target, **options)


def softmax_loss(
    logits: Tensor,
    target: Tensor,
    *,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
    inplace_backward: bool = False,
    **options: Unpack[SoftmaxOptions],
) -> Tensor:
    """The reduced categorical NLL on the backend in force; see `likelihead.kernels.ops.SoftmaxLoss`."""
    if type(logits) not in PLAIN:
        _spread_over_ranks(logits, classes=True)
    check_devices("logits", logits, scalars=("normalizer",), target=target, normalizer=normalizer, **options)
    check_dense(target=target, **options)
    op = cast(SoftmaxLoss, _serving("softmax_loss", logits))
    return op(
        logits,
        target,
        reduction=reduction,
        normalizer=normalizer,
        inplace_backward=inplace_backward,
        **options,
    )


def linear_softmax_nll(
    hidden: Tensor,
    head_weight: Tensor,
    target: Tensor,
    head_bias: Tensor | None = None,
    *,
    entropy: bool = False,
    log_prob: bool = False,
    prediction: bool = False,
    logit_scale: float = 1.0,
    chunk_tokens: int = 0,
    compact: bool | None = None,
    **options: Unpack[SoftmaxOptions],
) -> LinearValues:
    """Categorical NLL of a linear head on the backend in force; see `kernels.ops.LinearSoftmaxNLL`."""
    _check_head(hidden, head_weight, head_bias, target, options)
    if log_prob and target.is_floating_point():
        raise DTypeError(
            f"target is {target.dtype}, probabilities, and log_prob is that of a class; pass class indices, "
            "of an integer dtype.",
            code="LH202",
        )
    op = cast(LinearSoftmaxNLL, _serving("linear_softmax_nll", hidden))
    return op(
        hidden,
        head_weight,
        target,
        head_bias,
        entropy=entropy,
        log_prob=log_prob,
        prediction=prediction,
        logit_scale=logit_scale,
        chunk_tokens=chunk_tokens,
        compact=compact,
        **options,
    )


def linear_softmax_loss(
    hidden: Tensor,
    head_weight: Tensor,
    target: Tensor,
    head_bias: Tensor | None = None,
    *,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
    logit_scale: float = 1.0,
    chunk_tokens: int = 0,
    compact: bool | None = None,
    **options: Unpack[SoftmaxOptions],
) -> Tensor:
    """The reduced form on the backend in force; see `likelihead.kernels.ops.LinearSoftmaxLoss`."""
    _check_head(hidden, head_weight, head_bias, target, options)
    check_devices("hidden", hidden, scalars=("normalizer",), normalizer=normalizer)
    op = cast(LinearSoftmaxLoss, _serving("linear_softmax_loss", hidden))
    return op(
        hidden,
        head_weight,
        target,
        head_bias,
        reduction=reduction,
        normalizer=normalizer,
        logit_scale=logit_scale,
        chunk_tokens=chunk_tokens,
        compact=compact,
        **options,
    )


def linear_kl(
    hidden: Tensor,
    head_weight: Tensor,
    teacher: Tensor,
    teacher_weight: Tensor | None = None,
    *,
    head_bias: Tensor | None = None,
    teacher_bias: Tensor | None = None,
    teacher_index: Tensor | None = None,
    sample_weight: Tensor | None = None,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
    chunk_tokens: int = 0,
    compact: bool | None = None,
    **options: Unpack[KLOptions],
) -> Tensor:
    """Divergence of two linear heads on the backend in force; see `likelihead.kernels.ops.LinearKL`."""
    tensors: dict[str, Tensor | None] = {
        "head_bias": head_bias,
        "teacher_bias": teacher_bias,
        "teacher_index": teacher_index,
        "sample_weight": sample_weight,
    }
    others = tensors | {"head_weight": head_weight, "teacher": teacher, "teacher_weight": teacher_weight}
    check_devices("hidden", hidden, scalars=("normalizer",), normalizer=normalizer, **others)
    check_dense(**others)
    op = cast(LinearKL, _serving("linear_kl", hidden))
    return op(
        hidden,
        head_weight,
        teacher,
        teacher_weight,
        reduction=reduction,
        normalizer=normalizer,
        chunk_tokens=chunk_tokens,
        compact=compact,
        **tensors,
        **options,
    )


def _check_head(
    hidden: Tensor, head_weight: Tensor, head_bias: Tensor | None, target: Tensor, options: SoftmaxOptions
) -> None:
    check_devices("hidden", hidden, head_weight=head_weight, head_bias=head_bias, target=target, **options)
    check_dense(head_weight=head_weight, head_bias=head_bias, target=target, **options)
    check_head(hidden, head_weight, head_bias, target, options)


def sigmoid_nll(logits: Tensor, target: Tensor, **options: Unpack[SigmoidOptions]) -> Tensor:
    """Bernoulli NLL on the backend in force; see `likelihead.kernels.ops.SigmoidNLL`."""
    if type(logits) not in PLAIN:
        _spread_over_ranks(logits, classes=False)
    check_devices("logits", logits, scalars=_SCALARS, target=target, **options)
    check_dense(target=target, **options)
    op = cast(SigmoidNLL, _serving("sigmoid_nll", logits))
    return op(logits, target, **options)


def sigmoid_loss(
    logits: Tensor,
    target: Tensor,
    *,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
    **options: Unpack[SigmoidOptions],
) -> Tensor:
    """The reduced Bernoulli NLL on the backend in force; see `likelihead.kernels.ops.SigmoidLoss`."""
    if type(logits) not in PLAIN:
        _spread_over_ranks(logits, classes=False)
    check_devices("logits", logits, scalars=_SCALARS, target=target, normalizer=normalizer, **options)
    check_dense(target=target, **options)
    op = cast(SigmoidLoss, _serving("sigmoid_loss", logits))
    return op(logits, target, reduction=reduction, normalizer=normalizer, **options)
