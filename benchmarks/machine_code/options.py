"""Calls with options: so many combinations that every two of them are on, off and one without the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, combinations
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.machine_code.calls import Call, Kernel, compiled
from benchmarks.machine_code.parallel import compile_all

SOFTMAX = (
    "weight",
    "label_smoothing",
    "z_loss",
    "softcap",
    "logit_offset",
    "where",
    "focal_gamma",
    "sample_weight",
    "probabilities",
    "finite",
)
SIGMOID = (
    "weight",
    "pos_weight",
    "mask",
    "skip_nan_target",
    "label_smoothing",
    "prior",
    "focal_gamma",
    "focal_alpha",
    "sample_weight",
    "finite",
)

# In registers, of few and of many classes and as pixels; and streamed.
SHAPES = {
    "softmax_nll": ((65536, 10), (8192, 1000), (4, 21, 256, 256), (1024, 50257)),
    "sigmoid_nll": ((4096, 1000),),
}


def together(options: frozenset[str], module: str) -> bool:
    """Whether the op takes them at once: a focal loss is of one true class, a prior what is smoothed to."""
    if module == "softmax_nll":
        return "focal_gamma" not in options or not options & {"label_smoothing", "probabilities"}
    return "prior" not in options or "label_smoothing" in options


def covering(names: Iterable[str], allowed: Callable[[frozenset[str]], bool]) -> list[frozenset[str]]:
    """Few sets of the names in which every two are met in each way that is allowed; those with most first.

    >>> [sorted(one) for one in covering("ab", lambda _: True)]
    [['a', 'b'], [], ['a'], ['b']]
    """
    names = tuple(names)
    by_size = chain.from_iterable(combinations(names, size) for size in range(len(names), -1, -1))
    sets = [one for one in map(frozenset, by_size) if allowed(one)]
    met = {one: {((a, a in one), (b, b in one)) for a, b in combinations(names, 2)} for one in sets}
    left = set().union(*met.values())
    found = []
    while left:
        best = max(sets, key=lambda one: len(met[one] & left))
        left -= met[best]
        found.append(best)
    return sorted(found, key=len, reverse=True)


def _values(
    chosen: frozenset[str], module: str, shape: tuple[int, ...], dtype: torch.dtype
) -> Mapping[str, Any]:
    classes, examples = shape[1], (shape[0], *shape[2:])
    by_class, each = ((classes,), dtype), (shape, dtype)
    softmax = module == "softmax_nll"
    values: dict[str, Any] = {
        "weight": by_class,
        "label_smoothing": 0.1,
        "z_loss": 1e-4,
        "softcap": 30.0,
        "logit_offset": by_class,
        "where": (shape, torch.bool),
        "focal_gamma": 2.0,
        "focal_alpha": 0.25,
        "sample_weight": (examples if softmax else shape[:1], torch.float32),
        "pos_weight": by_class,
        "mask": (shape, torch.bool),
        "skip_nan_target": True,
        "prior": by_class,
    }
    options = {name: value for name, value in values.items() if name in chosen}
    options["torch_nonfinite"] = "finite" not in chosen
    soft = not softmax or "probabilities" in chosen
    options["target"] = each if soft else (examples, torch.int64)
    return options


def calls(
    dtypes: Iterable[torch.dtype] = (torch.bfloat16, torch.float32, torch.float64), most: int | None = None
) -> Iterator[Call]:
    """The losses with their gradient, of each way to lay them out; the ``most`` that have most options."""
    for module, names in (("softmax_nll", SOFTMAX), ("sigmoid_nll", SIGMOID)):
        sets = covering(names, lambda one, module=module: together(one, module))[:most]  # type: ignore[misc]
        for shape in SHAPES[module]:
            for dtype in dtypes:
                for chosen in sets:
                    yield Call(
                        f"{', '.join(sorted(chosen)) or 'nothing'} {list(shape)} {dtype}",
                        f"{module.removesuffix('_nll')}_loss",
                        module,
                        shape,
                        dtype,
                        _values(chosen, module, shape, dtype),
                    )


def spilling(kernels: Iterable[Kernel]) -> list[str]:
    """What goes through local memory, a line each."""
    return [
        f"{kernel.call.name}, {kernel.code.name}: {len(kernel.reading.spills)} loads and stores of local"
        f" memory, {kernel.code.resources.stack} bytes of stack"
        for kernel in kernels
        if kernel.reading.spills or kernel.code.resources.local or kernel.code.resources.stack
    ]


def report(target: str = "sm_90") -> list[str]:
    """What spills of all of `calls`, and how many calls that are."""
    every = list(calls())
    with TemporaryDirectory(prefix="options-") as cache:
        found = compile_all(partial(compiled, target=target), every, cache=cache)
    return [*spilling(chain.from_iterable(found)), f"{len(every)} calls compiled for {target}"]
