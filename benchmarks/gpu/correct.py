"""Every kernel's values and gradients held against float64 on the CPU.

The inputs are fresh in each run, the memory of the outputs is NaN before the kernels write, and so is what
lies between and beside the logits' elements; it must read the same afterwards. What is right is the
reference backend in float64, which the test suite holds against oracles of its own.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from benchmarks.gpu.device import Device, deterministic
from benchmarks.gpu.inputs import INDICES, Given, fits, lay_out, sigmoid, softmax
from benchmarks.gpu.work import Task, Wrong
from likelihead.bench.case import short_dtype
from likelihead.kernels import dispatch, ops

Route = Literal["each", "value", "mean", "sum", "in place", "normalizer"]
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
ULPS = {torch.float32: 4.0, torch.float64: 16.0, torch.bfloat16: 1.0, torch.float16: 1.0}
"""In the last place of the result; float64 is held against a reference that has some of its own."""
SCALE = 1.7  # of the upstream gradient, which is not one


@dataclass(frozen=True)
class Check:
    """A call and how its result is used."""

    op: Literal["softmax", "sigmoid"]
    shape: tuple[int, ...]
    dtype: torch.dtype
    route: Route = "each"
    target: str = "int64"
    layout: str = "contiguous"
    options: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        plain = self.layout == "contiguous" and not self.options and self.target in ("int64", "yes or no")
        kind = "plain" if plain else "layout" if self.layout != "contiguous" else "options"
        return f"correct/{self.op}/{kind}"

    @property
    def name(self) -> str:
        target = "" if self.target in ("int64", "yes or no") else f" {self.target}"
        layout = "" if self.layout == "contiguous" else f", {self.layout}"
        options = f" with {' + '.join(self.options)}" if self.options else ""
        where = f"{list(self.shape)} {short_dtype(self.dtype)}{layout}"
        return f"{self.group}/{where}{target} {self.route}{options}"

    @property
    def possible(self) -> bool:
        """Whether the contract has such a call."""
        kept = self.layout in ("contiguous", "channels_last") and self.dtype != torch.float16
        if self.route == "in place" and (self.op == "sigmoid" or not kept):
            return False
        if self.target == "probabilities" and {"focal", "ignored", "ignored class"} & set(self.options):
            return False
        if (
            self.target in ("bool", "int64")
            and self.op == "sigmoid"
            and {"unlabelled", "nan kept"} & set(self.options)
        ):
            return False
        if "ignored class" in self.options and (self.target == "uint8" or "ignored" in self.options):
            return False
        return fits(self.layout, self.shape) and not {"focal", "smoothing"} <= set(self.options)


def task_of(check: Check, seed: int) -> Task:
    heavy = math.prod(check.shape) > 2**24
    return Task(check.name, run, (check, seed), estimate=8.0 if heavy else 3.0)


def run(device: Device, check: Check, seed: int) -> dict[str, Any]:
    """Make the check.

    Raises:
        Wrong: a value, a gradient or the memory around them is not what it has to be.
    """
    generator = torch.Generator().manual_seed(seed ^ zlib.crc32(check.name.encode()))
    make = softmax if check.op == "softmax" else sigmoid
    given = make(check.shape, check.dtype, check.target, check.options, generator)
    rows = given.target.shape if check.op == "sigmoid" else (check.shape[0], *check.shape[2:])
    wide = ops.compute_dtype(check.dtype)
    upstream = torch.full((), SCALE, dtype=wide)
    if check.route == "each":
        upstream = torch.randn(rows, generator=generator, dtype=torch.float64).to(wide)
    expected = _expected(check, given, upstream)

    laid = lay_out(given.logits, check.layout, device.name)
    backend = device.backend(f"{check.op}_nll", laid.tensor)
    beside = laid.others()
    there = given.on(lambda tensor: tensor.to(device.name))
    there.logits = laid.tensor
    found = _called(device, check, there, upstream.to(device.name))
    if not torch.equal(laid.others(), beside):
        raise Wrong("memory beside the logits was written")
    again = _called(device, check, there, upstream.to(device.name))
    worst = {
        name: _compare(name, value.cpu(), expected[name], _allowed(check, name, given, expected))
        for name, value in found.items()
    }
    for name, value in found.items():
        if not torch.equal(_bits(value), _bits(again[name])):
            raise Wrong(f"the {name} has other bits in a second run")
    return {"backend": backend, **{f"{name} ulp": round(error, 2) for name, error in worst.items()}}


def _called(device: Device, check: Check, given: Given, upstream: Tensor) -> dict[str, Tensor]:
    """The results on the device, with the outputs' memory poisoned, in deterministic mode."""
    leaf = given.logits.detach().requires_grad_(check.route != "value")
    logits = leaf * 1 if check.route == "in place" else leaf
    device.poison()
    with deterministic():
        results = _results(check, logits, given.target, given.options, inplace=check.route == "in place")
        value = results["value"]
        if check.route != "value":
            (results["gradient"],) = torch.autograd.grad(value, leaf, upstream)
    device.synchronize()
    return {name: result.detach() for name, result in results.items()}


def _expected(check: Check, given: Given, upstream: Tensor) -> dict[str, Tensor]:
    """What is right, from the reference in float64 on the CPU."""
    wide = given.wide()
    leaf = wide.logits.detach().requires_grad_()
    with dispatch.use_backend("reference"):
        results = _results(check, leaf, wide.target, wide.options, inplace=False)
    if check.route != "value":
        (results["gradient"],) = torch.autograd.grad(results["value"], leaf, upstream.double())
    return {name: result.detach() for name, result in results.items()}


def _results(
    check: Check, logits: Tensor, target: Tensor, options: dict[str, Any], *, inplace: bool
) -> dict[str, Tensor]:
    if check.op == "sigmoid":
        if check.route == "each":
            return {"value": dispatch.sigmoid_nll(logits, target, **options)}
        return {"value": dispatch.sigmoid_loss(logits, target, **_reduction(check), **options)}
    if check.route == "each":
        nll, lse = dispatch.softmax_nll(logits, target, **options)
        return {"value": nll, "lse": lse}
    given = {**_reduction(check), **options, "inplace_backward": inplace}
    return {"value": dispatch.softmax_loss(logits, target, **given)}


def _reduction(check: Check) -> dict[str, Any]:
    if check.route == "normalizer":
        return {"reduction": "mean", "normalizer": 77.0}
    return {"reduction": "sum" if check.route == "sum" else "mean"}


def _allowed(check: Check, name: str, given: Given, expected: dict[str, Tensor]) -> Tensor:
    """The largest error that is right, for each number.

    A GPU's exponential is 0 where float32 has no normal number: nothing that small is counted as an error.
    """
    allowed = _of_the_terms(check, name, given, expected)
    return allowed if given.logits.dtype == torch.float64 else allowed.clamp(min=_LEAST)


_LEAST = torch.finfo(torch.float32).smallest_normal


def _of_the_terms(check: Check, name: str, given: Given, expected: dict[str, Tensor]) -> Tensor:
    """The same, in units of the last place.

    Where nothing but the softmax or the sigmoid is asked for, so many units in the last place. With options
    terms of both signs are added, and what is lost is a share of the largest of them.
    """
    right = expected[name]
    dtype = given.logits.dtype if name == "gradient" else ops.compute_dtype(given.logits.dtype)
    units = ULPS[dtype]
    if name == "gradient":
        # Wide dtypes: the products with the upstream gradient and the count are rounded too. In place, in 16
        # bits: the gradient is rounded where the logits were, and once more when it is scaled from above.
        units *= 1.5 if dtype.itemsize > 2 or check.route == "in place" else 1.0
    elif given.logits.dtype.itemsize == 2:
        # A kernel may take an exponential of fewer digits: these are a hundredth of the logits' last place.
        units *= 16.0
    elif name == "lse" or check.route != "each":
        units *= 2.0  # for the rounding of a sum
    largest = _finite(given.logits.double()).abs()
    if check.op == "softmax":
        largest = largest.amax(1, keepdim=True) if given.logits.shape[1] else largest
    if name == "lse":
        # logsumexp is found as the largest logit and what the others add to it.
        return units * _unit(torch.maximum(right.abs(), largest.squeeze(1)), dtype)
    if not check.options and check.target != "probabilities":
        return units * _unit(right, dtype)
    size = _finite(right).abs()
    if name == "gradient" and size.numel():
        size = (size.amax(1, keepdim=True) if check.op == "softmax" else size.max()).expand_as(right)
        if {"softcap", "offset"} & set(check.options):
            # What is added to a logit rounds it, and its exponential by as much.
            size = size * (1 + largest)
    elif check.op == "softmax" and check.route == "each":
        size = torch.maximum(size, largest.squeeze(1))
    elif check.op == "softmax" and {"softcap", "offset"} & set(check.options):
        size = size.clamp(min=float(largest.max()))
    else:
        size = size.clamp(min=1.0)
    return 4 * units * _unit(size, dtype)


def _finite(tensor: Tensor) -> Tensor:
    return torch.where(tensor.isfinite(), tensor, 0)


def _unit(numbers: Tensor, dtype: torch.dtype) -> Tensor:
    """The distance to the next number of this dtype."""
    about = torch.finfo(dtype)
    size = _finite(numbers).abs().clamp(min=about.smallest_normal)
    return torch.exp2(torch.floor(torch.log2(size))) * about.eps


def _compare(name: str, found: Tensor, right: Tensor, allowed: Tensor) -> float:
    """The largest error as a share of ULPS that are allowed, in units."""
    if found.shape != right.shape:
        raise Wrong(f"the {name} has shape {list(found.shape)}; expected {list(right.shape)}")
    got = found.double()
    most = torch.finfo(found.dtype).max
    same = (
        (got == right)
        | (got.isnan() & right.isnan())
        | (got.isinf() & (right.abs() > most) & (got * right > 0))
    )
    error = torch.where(same, 0.0, (got - right).abs() / allowed).nan_to_num(nan=math.inf)
    if error.numel() == 0:
        return 0.0
    worst = float(error.max())
    if worst > 1:
        at = int(error.argmax())
        place = [int(index) for index in torch.unravel_index(torch.tensor(at), right.shape)]
        share = int((error > 1).sum())
        raise Wrong(
            f"the {name} at {place} is {float(got.flatten()[at])!r}; expected {float(right.flatten()[at])!r} "
            f"within {float(allowed.flatten()[at]):.3g} ({share} of {error.numel()} are off)"
        )
    return worst * ULPS[found.dtype]


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def checks() -> Iterator[Check]:
    """All of them, the most telling first."""
    seen: set[str] = set()
    for check in (*_plain(), *_singly(), *_laid_out(), *_combined()):
        if check.possible and check.name not in seen:
            seen.add(check.name)
            yield check


_FLOATS = (torch.float32, torch.bfloat16)
_ROWS = [
    (64, 1000),
    (16, 50257),
    (5, 3),
    (33, 128),
    (8, 128256),
    (257, 10),
    (12, 4096),
    (6, 32000),
    (3, 262144),
]
_ROWS += [
    (64, 2),
    (9, 37),
    (2, 1_000_000),
    (70, 21),
    (31, 257),
    (1, 1),
    (1, 5),
    (0, 5),
    (5, 8193),
    (1000, 100),
]
_PIXELS = [(2, 21, 33, 65), (2, 5, 7, 9, 11), (1, 2, 128, 128), (3, 150, 8, 8), (2, 1000, 37), (0, 3, 4, 4)]
_LABELS = [(64, 1000), (5, 3), (10, 1), (4097,), (3, 5, 7, 11), (2048, 33), (), (0, 4), (1, 1_000_003)]
_SOFTMAX_OPTIONS = (
    "weight",
    "smoothing",
    "ignored",
    "where",
    "focal",
    "samples",
    "z_loss",
    "softcap",
    "offset",
)
_SOFTMAX_OPTIONS += ("nonfinite", "ignored class")
_SIGMOID_OPTIONS = ("pos_weight", "weight", "mask", "unlabelled", "samples", "smoothing", "focal", "prior")
_SIGMOID_OPTIONS += ("weight of each", "nonfinite", "nan kept")


def _plain() -> Iterator[Check]:
    for dtype in DTYPES:
        for shape in (*_ROWS[:2], _PIXELS[0]):
            for route in ("each", "mean", "in place"):
                yield Check("softmax", shape, dtype, route)
        for route in ("each", "mean"):
            yield Check("sigmoid", _LABELS[0], dtype, route, "yes or no")
    for shape in (*_ROWS[2:], *_PIXELS[1:]):
        for dtype in _FLOATS:
            for route in ("mean", "each", "in place"):
                yield Check("softmax", shape, dtype, route)
    for shape in _LABELS[1:]:
        for dtype in _FLOATS:
            for route in ("mean", "each"):
                yield Check("sigmoid", shape, dtype, route, "yes or no")
    for route in ("value", "sum", "normalizer"):
        for shape in (_ROWS[0], _PIXELS[0]):
            yield Check("softmax", shape, torch.float32, route)
        yield Check("sigmoid", _LABELS[0], torch.float32, route, "yes or no")


def _singly() -> Iterator[Check]:
    for option in _SOFTMAX_OPTIONS:
        for shape in ((24, 1000), (40, 10), (2, 21, 9, 13), (6, 40000)):
            for route in ("mean", "each", "in place"):
                yield Check("softmax", shape, torch.float32, route, options=(option,))
            yield Check("softmax", shape, torch.bfloat16, "mean", options=(option,))
    for shape in ((24, 1000), (40, 10), (2, 21, 9, 13), (6, 40000)):
        for dtype in _FLOATS:
            for route in ("mean", "each"):
                yield Check("softmax", shape, dtype, route, "probabilities")
        yield Check("softmax", shape, torch.float32, "mean", "probabilities", options=("weight", "smoothing"))
        for target in INDICES:
            yield Check("softmax", shape, torch.float32, "mean", target, options=("ignored",))
    for option in _SIGMOID_OPTIONS:
        for shape in ((64, 100), (2, 3, 9, 13)):
            for target in ("yes or no", "shares", "bool", "int64"):
                yield Check("sigmoid", shape, torch.float32, "mean", target, options=(option,))
            yield Check("sigmoid", shape, torch.float32, "each", "shares", options=(option,))
            yield Check("sigmoid", shape, torch.bfloat16, "mean", "shares", options=(option,))


def _laid_out() -> Iterator[Check]:
    layouts = ("odd start", "padded", "channels_last", "transposed", "every other row", "every other class")
    for layout in layouts:
        for shape in ((24, 1000), (70, 10), (6, 40001), (2, 21, 9, 13), (2, 150, 8, 8)):
            for dtype in _FLOATS:
                for route in ("mean", "each", "in place"):
                    yield Check("softmax", shape, dtype, route, layout=layout)
        for shape in ((64, 100), (2, 3, 9, 13)):
            for dtype in _FLOATS:
                for route in ("mean", "each"):
                    yield Check("sigmoid", shape, dtype, route, "yes or no", layout)


def _combined() -> Iterator[Check]:
    """Several options at a time, each pair of them somewhere, with layouts, dtypes and routes in turn."""
    routes: tuple[Route, ...] = ("mean", "each", "in place", "sum", "value", "normalizer")
    for at in range(48):
        options = tuple(option for bit, option in enumerate(_SOFTMAX_OPTIONS) if _picked(at, bit))
        focal = "focal" in options
        options = tuple(option for option in options if not (focal and option == "smoothing"))
        shape = ((24, 1000), (40, 10), (2, 21, 9, 13), (5, 40000))[at % 4]
        target = ("int64", "int32", "probabilities", "int64", "uint8", "int16")[at % 6]
        if target == "probabilities":
            options = tuple(
                option for option in options if option not in ("focal", "ignored", "ignored class")
            )
        if target == "uint8" or "ignored" in options:
            options = tuple(option for option in options if option != "ignored class")
        layout = ("contiguous", "padded", "channels_last", "contiguous", "odd start")[at % 5]
        yield Check("softmax", shape, DTYPES[at % 3], routes[at % 6], target, layout, options)
    for at in range(24):
        options = tuple(option for bit, option in enumerate(_SIGMOID_OPTIONS) if _picked(at, bit + 3))
        options = tuple(o for o in options if o != "weight" or "weight of each" not in options)
        target = ("yes or no", "shares")[at % 2]
        route = routes[:2][at % 2] if at % 3 else routes[3 + at % 3]
        yield Check(
            "sigmoid", ((64, 100), (2, 3, 9, 13))[at % 2], DTYPES[at % 3], route, target, options=options
        )


def _picked(at: int, bit: int) -> bool:
    """Two options in five, by a fixed rule without pattern."""
    return zlib.crc32(f"{at} {bit}".encode()) % 5 < 2
