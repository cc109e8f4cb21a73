"""Logits whose memory the gradient takes over: who may give it up, and who may no longer read it.

``inplace_backward=True`` writes the gradient where the logits are. Whoever reads the logits afterwards would
take gradients for logits, and no rule of autograd's covers reads without a graph (an accuracy, say). So the
memory changes hands: it goes to the gradient alone, and the logits that the caller holds are left without
values and raise when they are read (docs/decisions/0019-in-place-gradients.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "Overwritten",
    "check_writable",
    "give_up",
    "is_alone",
    "note_same_memory",
    "will_overwrite",
]

_NOTE = "_likelihead_same_memory"

# Private to torch: where it is missing, no memory is known to be unshared, and none is taken.
_storage_uses: Callable[[int], int] | None = getattr(torch._C, "_storage_Use_Count", None)


def _uses_of_one() -> int:
    """How many uses torch counts of the memory of a single tensor while its storage is looked at."""
    storage = torch.empty(1, device="cpu").untyped_storage()
    return 0 if _storage_uses is None else _storage_uses(storage._cdata) + 1  # the tensor itself is gone


_USES_OF_ONE = _uses_of_one()


def will_overwrite(inplace_backward: bool, logits: Tensor) -> bool:
    """Whether the option has an effect: there is none where no gradient by the logits is asked for."""
    return inplace_backward and logits.requires_grad and torch.is_grad_enabled()


def check_writable(logits: Tensor) -> None:
    """Refuse what torch refuses to write over.

    Raises:
        RuntimeError: a leaf that is trained, or a view of one: the parameter itself would be replaced.
    """
    for tensor, what in ((logits, "a leaf Variable"), (logits._base, "a view of a leaf Variable")):
        if tensor is not None and tensor.is_leaf and tensor.requires_grad:
            raise RuntimeError(
                f"{what} that requires grad is being used in an in-place operation: inplace_backward=True "
                "would replace the parameter by its gradient; leave it out, or pass computed logits."
            )


def note_same_memory(view: Tensor, given: Tensor) -> None:
    """Let `is_alone` and `give_up` know that the caller holds ``given``, reshaped here to ``view``."""
    if view is not given:
        setattr(view, _NOTE, given)


def is_alone(logits: Tensor) -> bool:
    """Whether nobody can read the memory of these logits but through them, all of it theirs.

    Every other tensor on the same memory, a detached copy, a view, an array of numpy's or an output that
    autograd keeps, counts as somebody.
    """
    if _storage_uses is None:
        return False
    storage = logits.untyped_storage()
    if storage.nbytes() != logits.numel() * logits.element_size():
        return False
    return _storage_uses(storage._cdata) - _USES_OF_ONE == len(_known(logits)) - 1


def give_up(logits: Tensor) -> Tensor:
    """The memory of the logits as a tensor of its own, for a gradient to be written to.

    The logits, and the tensors that they are a view of, raise from now on when they are read. What autograd
    has saved of them raises in its backward.
    """
    memory = logits.detach()
    torch.autograd.graph.increment_version(logits)
    for tensor in _known(logits):
        # Readers that do not ask the class (DLPack, torch.tensor) find NaN; and the memory has one owner.
        tensor.data = tensor.new_full((), torch.nan, requires_grad=False).expand(tensor.shape)
        tensor.__class__ = Overwritten
    return memory


def _known(logits: Tensor) -> list[Tensor]:
    """The logits, what the caller knows them as, and what these are views of."""
    known: list[Tensor] = []
    given = getattr(logits, _NOTE, None)
    for tensor in (logits, logits._base, given, None if given is None else given._base):
        if tensor is not None and all(tensor is not other for other in known):
            known.append(tensor)
    return known


class Overwritten(torch.Tensor):
    """Logits that a loss has written its gradient over: the shape is there, the values are not."""

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in _HARMLESS:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))
        if func in _WORDS:
            return _described(args[0])
        name = getattr(func, "__name__", str(func))
        raise RuntimeError(
            f"{name} was called on logits that have been modified by an inplace operation: a loss with "
            "inplace_backward=True has written its gradient over them. Read them before that loss (a metric, "
            "another loss), or leave inplace_backward out."
        )


_PROPERTIES = (
    "_version", "device", "dtype", "grad", "grad_fn", "is_cpu", "is_cuda", "is_leaf", "is_meta", "is_mkldnn",
    "is_mps", "is_nested", "is_quantized", "is_sparse", "is_sparse_csr", "itemsize", "layout", "nbytes",
    "ndim", "output_nr", "requires_grad", "retains_grad", "shape",
)  # fmt: skip
# Without dim(), which is all that vmap asks for before it reads.
_METHODS = (
    "__hash__", "__len__", "backward", "element_size", "get_device", "is_complex", "is_contiguous",
    "is_floating_point", "ndimension", "nelement", "numel", "register_hook", "retain_grad", "size", "stride",
)  # fmt: skip
# What looks at no values, and what differentiates by the logits.
_HARMLESS: frozenset[Any] = frozenset(
    [
        torch.autograd.grad,
        torch.autograd.backward,
        torch.is_floating_point,
        torch.is_complex,
        torch.numel,
        *(getattr(torch.Tensor, name).__get__ for name in _PROPERTIES),
        *(getattr(torch.Tensor, name) for name in _METHODS),
    ]
)
_WORDS: frozenset[Any] = frozenset([torch.Tensor.__repr__, torch.Tensor.__format__])


def _described(logits: Any) -> str:
    return f"tensor(overwritten by a gradient, size={tuple(logits.shape)}, dtype={logits.dtype})"
