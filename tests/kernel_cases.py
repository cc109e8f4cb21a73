"""Inputs that take a kernel through all that it can do, and what its answers are held to: the reference."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from torch import Tensor

from likelihead.kernels import dispatch
from likelihead.kernels.dispatch import use_backend
from served_here import INTERPRETED

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
# Relative to the reference in float64, on the same inputs: value, and gradient relative to its largest.
TOLERANCE = {torch.float32: 3e-6, torch.float64: 4e-15, torch.bfloat16: 8e-3, torch.float16: 1e-3}
EXAMPLES = settings().max_examples  # 100; fewer under `make sanitize` and in the interpreter
WITH_FIXTURES = [HealthCheck.function_scoped_fixture]
THOUSAND = settings(max_examples=10 * EXAMPLES, suppress_health_check=WITH_FIXTURES)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _wide(value: object) -> object:
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


@st.composite
def softmax_cases(draw: st.DrawFn) -> tuple[Tensor, Tensor, dict[str, object]]:
    dtype = draw(st.sampled_from(DTYPES))
    classes = draw(st.sampled_from([1, 2, 3, 10, 15, 16, 17, 56, 57, 79, 80, 129, 161, 300]))
    behind = [(), (), (1,), (7,), (3, 5)] if INTERPRETED else [(), (), (1,), (7,), (3, 5), (4, 33)]
    shape = (draw(st.integers(1, 5 if INTERPRETED else 40)), classes, *draw(st.sampled_from(behind)))
    g = seeded(draw(st.integers(0, 2**31)))
    logits = torch.randn(shape, generator=g, dtype=torch.float64) * draw(st.sampled_from([1, 5, 30]))
    logits[torch.rand(shape, generator=g) < draw(st.sampled_from([0, 0.1]))] = -1e4
    if draw(st.booleans()):
        target = torch.rand(shape, generator=g, dtype=torch.float64).to(
            draw(st.sampled_from([dtype, torch.float32]))
        )
    else:
        target = torch.randint(classes, (shape[0], *shape[2:]), generator=g)
        target[torch.rand(target.shape, generator=g) < draw(st.sampled_from([0, 0.4, 1]))] = -100
        target = target.to(draw(st.sampled_from([torch.int64, torch.int32, torch.int16])))
    layout = draw(st.sampled_from(["contiguous", "channels_last", "strided", "expanded"]))
    logits = logits.to(dtype)
    if layout == "channels_last" and logits.dim() == 4:
        logits = logits.to(memory_format=torch.channels_last)
    elif layout == "strided":
        logits = torch.stack([logits, logits], -1)[..., 0]
    elif layout == "expanded":
        logits = logits[:1].expand(shape)
    per_class = st.none() | st.just(torch.rand(classes, generator=g) + 0.1)
    options = {
        "weight": draw(per_class),
        "label_smoothing": draw(st.sampled_from([0.0, 0.1, 1.0])),
        "z_loss": draw(st.sampled_from([0.0, 1e-3])),
        "softcap": draw(st.sampled_from([None, 20.0])),
        "logit_offset": draw(per_class),
        "torch_nonfinite": draw(st.booleans()),
        "where": draw(_class_masks(shape, g)),
        "sample_weight": draw(_sample_weights((shape[0], *shape[2:]), g)),
    }
    if not target.is_floating_point() and options["label_smoothing"] == 0:
        options["focal_gamma"] = draw(st.sampled_from([0.0, 0.0, 0.3, 2.0, 2.5]))
    return logits, target, options


def _class_masks(shape: tuple[int, ...], g: torch.Generator) -> st.SearchStrategy[Tensor | None]:
    """None, or class masks of many layouts; some examples can have no class at all."""
    full = torch.rand(shape, generator=g) < 0.7
    one_for_all = full[:1].expand(shape)
    per_example = full[(slice(None), slice(None), *[slice(0, 1)] * (len(shape) - 2))].expand(shape)
    turned = full.transpose(0, 1).contiguous().transpose(0, 1)
    apart = torch.stack([full, ~full], -1)[..., 0]
    return st.sampled_from([None, None, full, one_for_all, per_example, turned, apart])


def _sample_weights(shape: tuple[int, ...], g: torch.Generator) -> st.SearchStrategy[Tensor | None]:
    """None, or weights of any prefix of the shape, some of them 0."""
    found: list[Tensor | None] = [None, None]
    for end in range(1, len(shape) + 1):
        weight = torch.rand(shape[:end], generator=g) * 2
        found.append(torch.where(weight < 0.4, 0, weight))
    return st.sampled_from(found)


def before_the_cap(target: Tensor, options: dict[str, object]) -> float:
    """How large the gradient is before it is multiplied by the slope of the cap.

    The slope 1 - tanh^2 of a logit near the cap is a difference of two numbers near 1, off by some units in
    the last place of 1, not of itself, in every backend. Targets that sum to 100 make that 100 times as much
    beside a result that the slope has made small.
    """
    if options["softcap"] is None or not target.is_floating_point() or target.numel() == 0:
        return 1.0
    return max(1.0, float(target.double().sum(1).max()))


def assert_near(
    got: Tensor, expected: Tensor, tolerance: float, peer: Tensor, magnitude: float = 1.0
) -> None:
    """Within the tolerance of the float64 answer, or as near as ``peer``, the reference in this dtype."""
    assert got.shape == expected.shape
    assert got.dtype == peer.dtype
    assert torch.equal(got.isnan(), expected.isnan())
    finite = expected.isfinite()
    assert torch.equal(got[~finite].double(), expected[~finite]) or expected.isnan().any()
    got, expected, peer = (t.detach().double()[finite] for t in (got, expected, peer))
    if got.numel() == 0:
        return
    scale = max(magnitude, float(expected.abs().max()))
    allowed = tolerance * (expected.abs() + scale) + 2 * float((peer - expected).abs().max())
    assert ((got - expected).abs() <= allowed).all()


def compare(
    run: Callable[[Tensor, Any], list[Tensor]],
    logits: Tensor,
    target: Tensor,
    upstream: float,
    magnitude: float = 1.0,
) -> None:
    """Values and gradients of the native backend beside the reference, in float64 and in the same dtype."""

    def both(z: Tensor, wide: bool) -> list[Tensor]:
        z = z.detach().requires_grad_()
        outputs = run(z, _wide if wide else lambda value: value)
        ups = [upstream * torch.linspace(-1, 2, o.numel()).view(o.shape).to(o.dtype) for o in outputs]
        return [*outputs, torch.autograd.grad(outputs, z, ups)[0]]

    got = both(logits, False)
    with use_backend("reference"):
        expected, peer = both(logits.double(), True), both(logits, False)
    for g, e, p in zip(got, expected, peer, strict=True):
        assert_near(g, e, TOLERANCE[g.dtype], p, magnitude)


@st.composite
def sigmoid_cases(draw: st.DrawFn) -> tuple[Tensor, Tensor, dict[str, object]]:
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(
        st.sampled_from([(), (1,), (7,), (16,), (100,), (3, 5), (9, 17), (4, 33), (2, 3, 50), (40, 1)])
    )
    g = seeded(draw(st.integers(0, 2**31)))
    x = (torch.randn(shape, generator=g, dtype=torch.float64) * draw(st.sampled_from([1, 8, 60]))).to(dtype)
    kind = draw(st.sampled_from(["hard", "soft", "nan", "int"]))
    target = torch.rand(shape, generator=g, dtype=torch.float64)
    if kind in ("hard", "int"):
        target = target.round()
    if kind == "nan":
        target = torch.where(target < 0.3, math.nan, target)
    target = target.long() if kind == "int" else target.to(dtype)
    column = torch.rand(shape[-1:], generator=g) + 0.1
    full = torch.rand(shape, generator=g) + 0.1
    weights = st.sampled_from([None, column, full, torch.tensor(2.5)])
    return (
        x,
        target,
        {
            "weight": draw(weights),
            "pos_weight": draw(weights),
            "mask": draw(st.sampled_from([None, torch.rand(shape, generator=g) < 0.7])),
            "label_smoothing": (smoothing := draw(st.sampled_from([0.0, 0.0, 0.1, 1.0]))),
            "prior": draw(st.sampled_from([None, column / 2, full / 2])) if smoothing else None,
            "focal_gamma": draw(st.sampled_from([0.0, 0.0, 0.3, 2.0, 2.5])),
            "focal_alpha": draw(st.sampled_from([None, None, 0.25, 1.0])),
            "sample_weight": draw(_sample_weights(shape, g)),
        },
    )


Case = tuple[Tensor, Tensor, dict[str, Any]]


def check_softmax(case: Case) -> None:
    """The backend in force beside the reference, example by example."""
    logits, target, options = case

    def run(z: Tensor, cast: Any) -> list[Tensor]:
        return list(dispatch.softmax_nll(z, cast(target), **{k: cast(v) for k, v in options.items()}))

    compare(run, logits, target, 1.0, before_the_cap(target, options))


def check_not_finite(backend: str, case: Case, odd: float, seed: int) -> None:
    """NaN and infinities, where the reference has them."""
    logits, target, options = case
    g = seeded(seed)
    logits = logits.clone()
    logits[torch.rand(logits.shape, generator=g) < 0.1] = odd
    if isinstance(options["weight"], Tensor):
        options["weight"] = options["weight"] * (torch.rand(logits.shape[1], generator=g) < 0.7)
    if target.is_floating_point():
        target = target * (torch.rand(target.shape, generator=g) < 0.7)
    found = []
    for name in (backend, "reference"):
        with use_backend(name):
            z = logits.detach().requires_grad_()
            nll, lse = dispatch.softmax_nll(z, target, **options)
            found.append((nll, lse, torch.autograd.grad(nll.sum(), z)[0]))
    for got, expected in zip(*found, strict=True):
        assert torch.equal(got.isnan(), expected.isnan())
        assert torch.equal(got.isinf(), expected.isinf())


def check_reduced_softmax(case: Case, reduction: str, normalizer: float | None, upstream: float) -> None:
    """The backend in force beside the reference, reduced."""
    logits, target, options = case
    more = {"reduction": reduction, "normalizer": normalizer if reduction == "mean" else None}

    def run(z: Tensor, cast: Any) -> list[Tensor]:
        return [dispatch.softmax_loss(z, cast(target), **{k: cast(v) for k, v in options.items()}, **more)]

    compare(run, logits, target, upstream, before_the_cap(target, options))


def check_sigmoid(case: Case, reduction: str) -> None:
    """The backend in force beside the reference."""
    logits, target, options = case

    def run(z: Tensor, cast: Any) -> list[Tensor]:
        given = {k: cast(v) for k, v in options.items()}
        if reduction == "none":
            return [dispatch.sigmoid_nll(z, cast(target), **given)]
        return [dispatch.sigmoid_loss(z, cast(target), reduction=reduction, **given)]

    compare(run, logits, target, 1.0)
