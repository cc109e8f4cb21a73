"""Functions and classes from outside, by dotted name: the door to all tables of knowledge."""

from __future__ import annotations

import ast
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from likelihead.lint import knowledge
from likelihead.lint.knowledge import layers, losses, objects
from likelihead.lint.knowledge.call import CONSTRUCTORS, EXTERNALS, OPS, PACKAGES, Call, canonical
from likelihead.lint.values import UNKNOWN, Object, Value

if TYPE_CHECKING:
    from likelihead.lint.interpreter.frames import Frame
    from likelihead.lint.interpreter.machine import Machine

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
    [
        "torch.compile",
        "torch.jit.script",
        "torch.autograd.Variable",
        "copy.deepcopy",
        "copy.copy",
        "torch.fx.symbolic_trace",
        "torch.nn.DataParallel",
        "torch.nn.parallel.DataParallel",
        "torch.nn.parallel.DistributedDataParallel",
        "torch.distributed.fsdp.FullyShardedDataParallel",
        "fairscale.nn.FullyShardedDataParallel",
        "apex.parallel.DistributedDataParallel",
        "torch.nn.SyncBatchNorm.convert_sync_batchnorm",
        "torch.nn.utils.weight_norm",
        "torch.nn.utils.spectral_norm",
        "torch.nn.utils.parametrizations.weight_norm",
        "torch.nn.utils.parametrizations.spectral_norm",
        "torch.quantization.prepare_qat",
    ]
)


def call(
    name: str,
    args: list[Value],
    kwargs: dict[str, Value],
    interpreter: Machine,
    node: ast.AST,
    frame: Frame,
) -> Value:
    """What a function or class from outside returns."""
    name = canonical(name)
    if name in interpreter.losses:
        return _users_loss(name, args, kwargs, interpreter, node, frame)
    handler = EXTERNALS.get(name) or CONSTRUCTORS.get(name)
    if handler is not None:
        return handler(Call(name, args, kwargs, interpreter, node, frame))
    if name in PASS_THROUGH:
        return args[0] if args else kwargs.get("module", kwargs.get("model", UNKNOWN))
    package = PACKAGES.get(name.partition(".")[0])
    if package is not None:
        return package(Call(name, args, kwargs, interpreter, node, frame))
    module, _, last = name.rpartition(".")
    if module in _OP_MODULES and last in OPS:
        return OPS[last](Call(name, args, kwargs, interpreter, node, frame))
    return UNKNOWN


def _users_loss(
    name: str,
    args: list[Value],
    kwargs: dict[str, Value],
    interpreter: Machine,
    node: ast.AST,
    frame: Frame,
) -> Value:
    """A loss of the settings: a class if its name looks like one, else a function."""
    family = interpreter.losses[name]
    if name.rpartition(".")[2][:1].isupper():
        meant = next(
            one
            for one in losses.LOSSES
            if one.startswith("torch.nn.") and "functional" not in one and losses.LOSSES[one].family == family
        )
        return call(meant, args, kwargs, interpreter, node, frame)
    meant = next(
        one
        for one in losses.LOSSES
        if one.startswith("torch.nn.functional.") and losses.LOSSES[one].family == family
    )
    return call(meant, args, kwargs, interpreter, node, frame)


def construct(
    name: str,
    args: list[Value] | None,
    kwargs: dict[str, Value],
    interpreter: Machine,
    node: ast.AST,
    frame: Frame,
) -> Value:
    """An object of a class from outside, or base of one of the project; no `args`: options unknown."""
    name = canonical(name)
    handler = CONSTRUCTORS.get(name)
    if handler is None:
        return UNKNOWN
    if args is None:
        return (
            Object(name, {}, frame.context)
            if name in losses.LOSSES or name in layers.LAYERS or name in objects.CALLS
            else UNKNOWN
        )
    return handler(Call(name, args, kwargs, interpreter, node, frame))


# Each module of this package fills the tables when it is imported.
for _module in iter_modules(knowledge.__path__):
    import_module(f"{knowledge.__name__}.{_module.name}")
