"""Functions and classes from outside, by dotted name: the door to all tables of knowledge."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from likelihead.lint import knowledge
from likelihead.lint.knowledge import layers, losses, objects
from likelihead.lint.knowledge.call import CONSTRUCTORS, EXTERNALS, OPS, PACKAGES, Call, canonical
from likelihead.lint.values import UNKNOWN, Object, Value

if TYPE_CHECKING:
    pass

__all__ = ["call", "construct"]

# Their functions are those of the table of operations, if they have the name of one.
_OP_MODULES = frozenset(
    (
        "torch", "torch.nn.functional", "torch.special", "torch.Tensor", "numpy", "scipy.special", "math",
        "numpy.random", "keras.ops", "torch.nn.init",
    )
)  # fmt: skip

# What they return is, for the analysis, their first argument.
PASS_THROUGH = frozenset(
    (
        "torch.compile", "torch.jit.script", "torch.autograd.Variable",
        "torch.fx.symbolic_trace", "torch.nn.DataParallel", "torch.nn.parallel.DataParallel",
        "torch.nn.parallel.DistributedDataParallel", "torch.distributed.fsdp.FullyShardedDataParallel",
        "fairscale.nn.FullyShardedDataParallel", "apex.parallel.DistributedDataParallel",
        "torch.nn.SyncBatchNorm.convert_sync_batchnorm", "torch.nn.utils.weight_norm",
        "torch.nn.utils.spectral_norm", "torch.nn.utils.parametrizations.weight_norm",
        "torch.nn.utils.parametrizations.spectral_norm", "torch.quantization.prepare_qat",
    )
)  # fmt: skip


def call(this: Call) -> Value:
    """What a function or class from outside returns."""
    name = this.name = canonical(this.name)
    if name in this.interpreter.losses:
        return _users_loss(this)
    handler = EXTERNALS.get(name) or CONSTRUCTORS.get(name)
    if handler is None and name in PASS_THROUGH:
        return this.args[0] if this.args else this.kwargs.get("module", this.kwargs.get("model", UNKNOWN))
    handler = handler or PACKAGES.get(name.partition(".")[0])
    if handler is not None:
        return handler(this)
    module, _, last = name.rpartition(".")
    return OPS[last](this) if module in _OP_MODULES and last in OPS else UNKNOWN


def _users_loss(this: Call) -> Value:
    """A loss of the settings: a class if its name looks like one, else a function."""
    function = this.interpreter.losses[this.name]
    if this.name.rpartition(".")[2][:1].isupper():
        this.name = f"torch.nn.{losses.FUNCTIONS[function]}"
    else:
        this.name = f"torch.nn.functional.{function}"
    return call(this)


def construct(this: Call, *, known: bool = True) -> Value:
    """An object of a class from outside, or base of one of the project; its options may not be known."""
    name = this.name = canonical(this.name)
    handler = CONSTRUCTORS.get(name)
    if handler is None:
        return UNKNOWN
    if not known:
        is_called = name in losses.LOSSES or name in layers.LAYERS or name in objects.CALLS
        return Object(name, {}, this.frame.context) if is_called else UNKNOWN
    return handler(this)


# Each module of this package fills the tables when it is imported.
for _module in iter_modules(knowledge.__path__):
    import_module(f"{knowledge.__name__}.{_module.name}")
