"""The native backend against the reference, and as a custom op of torch."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from likelihead.errors import OptionError
from likelihead.kernels import dispatch
from likelihead.kernels.dispatch import backends, use_backend

NATIVE = {b.name: b for b in backends()}["native"]
pytestmark = pytest.mark.skipif(not NATIVE.available, reason=f"native is absent: {NATIVE.reason}")

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
# Relative to the reference in float64, on the same inputs: value, and gradient relative to its largest.
TOLERANCE = {torch.float32: 3e-6, torch.float64: 4e-15, torch.bfloat16: 8e-3, torch.float16: 1e-3}
EXAMPLES = settings().max_examples  # 100; fewer under `make sanitize`
THOUSAND = settings(max_examples=10 * EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _native() -> Iterator[None]:
    with use_backend("native"):
        yield


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _wide(value: object) -> object:
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


@st.composite
def _softmax_cases(draw: st.DrawFn) -> tuple[Tensor, Tensor, dict[str, object]]:
    dtype = draw(st.sampled_from(DTYPES))
    classes = draw(st.sampled_from([1, 2, 3, 10, 15, 16, 17, 56, 57, 79, 80, 129, 161, 300]))
    shape = (draw(st.integers(1, 40)), classes, *draw(st.sampled_from([(), (), (1,), (7,), (3, 5), (4, 33)])))
    g = _seeded(draw(st.integers(0, 2**31)))
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


def _before_the_cap(target: Tensor, options: dict[str, object]) -> float:
    """How large the gradient is before it is multiplied by the slope of the cap.

    The slope 1 - tanh^2 of a logit near the cap is a difference of two numbers near 1, off by some units in
    the last place of 1, not of itself, in every backend. Targets that sum to 100 make that 100 times as much
    beside a result that the slope has made small.
    """
    if options["softcap"] is None or not target.is_floating_point() or target.numel() == 0:
        return 1.0
    return max(1.0, float(target.double().sum(1).max()))


def _assert_near(
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


def _compare(
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
        _assert_near(g, e, TOLERANCE[g.dtype], p, magnitude)


@given(_softmax_cases())
@THOUSAND
def test_softmax_agrees_with_the_reference(case: tuple[Tensor, Tensor, dict[str, object]]) -> None:
    logits, target, options = case

    def run(z: Tensor, cast: Any) -> list[Tensor]:
        return list(dispatch.softmax_nll(z, cast(target), **{k: cast(v) for k, v in options.items()}))

    _compare(run, logits, target, 1.0, _before_the_cap(target, options))


@given(_softmax_cases(), st.sampled_from([-math.inf, math.inf, math.nan]), st.integers(0, 2**31))
@THOUSAND
def test_what_is_not_finite_is_as_in_the_reference(
    case: tuple[Tensor, Tensor, dict[str, object]], odd: float, seed: int
) -> None:
    logits, target, options = case
    g = _seeded(seed)
    logits = logits.clone()
    logits[torch.rand(logits.shape, generator=g) < 0.1] = odd
    if isinstance(options["weight"], Tensor):
        options["weight"] = options["weight"] * (torch.rand(logits.shape[1], generator=g) < 0.7)
    if target.is_floating_point():
        target = target * (torch.rand(target.shape, generator=g) < 0.7)
    found = []
    for backend in ("native", "reference"):
        with use_backend(backend):
            z = logits.detach().requires_grad_()
            nll, lse = dispatch.softmax_nll(z, target, **options)
            found.append((nll, lse, torch.autograd.grad(nll.sum(), z)[0]))
    for got, expected in zip(*found, strict=True):
        assert torch.equal(got.isnan(), expected.isnan())
        assert torch.equal(got.isinf(), expected.isinf())


@given(
    _softmax_cases(),
    st.sampled_from(["mean", "sum"]),
    st.sampled_from([None, 3.5]),
    st.sampled_from([1.0, -0.3]),
)
@settings(max_examples=3 * EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reduced_softmax_agrees(
    case: tuple[Tensor, Tensor, dict[str, object]], reduction: str, normalizer: float | None, upstream: float
) -> None:
    logits, target, options = case
    more = {"reduction": reduction, "normalizer": normalizer if reduction == "mean" else None}

    def run(z: Tensor, cast: Any) -> list[Tensor]:
        return [dispatch.softmax_loss(z, cast(target), **{k: cast(v) for k, v in options.items()}, **more)]

    _compare(run, logits, target, upstream, _before_the_cap(target, options))


@st.composite
def _sigmoid_cases(draw: st.DrawFn) -> tuple[Tensor, Tensor, dict[str, object]]:
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(
        st.sampled_from([(), (1,), (7,), (16,), (100,), (3, 5), (9, 17), (4, 33), (2, 3, 50), (40, 1)])
    )
    g = _seeded(draw(st.integers(0, 2**31)))
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


@given(_sigmoid_cases(), st.sampled_from(["none", "mean", "sum"]))
@THOUSAND
def test_sigmoid_agrees_with_the_reference(
    case: tuple[Tensor, Tensor, dict[str, object]], reduction: str
) -> None:
    logits, target, options = case

    def run(z: Tensor, cast: Any) -> list[Tensor]:
        given = {k: cast(v) for k, v in options.items()}
        if reduction == "none":
            return [dispatch.sigmoid_nll(z, cast(target), **given)]
        return [dispatch.sigmoid_loss(z, cast(target), reduction=reduction, **given)]

    _compare(run, logits, target, 1.0)


def test_the_custom_ops_keep_torchs_rules() -> None:
    x, target = torch.randn(5, 7, requires_grad=True), torch.tensor([0, 6, -100, 3, 1])
    options = (
        torch.rand(7),
        0.1,
        -100,
        0.01,
        0.0,
        torch.rand(7),
        False,
        torch.rand(5, 7) < 0.9,
        0.0,
        torch.rand(5),
    )
    ops = torch.ops.likelihead
    torch.library.opcheck(ops.softmax_nll.default, (x, target, *options))
    pixels = (torch.randn(2, 3, 4, 5), torch.randint(3, (2, 4, 5)))
    torch.library.opcheck(
        ops.softmax_nll.default, (*pixels, None, 0.0, -100, 0.0, 5.0, None, True, None, 2.0, torch.rand(2, 4))
    )
    torch.library.opcheck(
        ops.softmax_nll_backward.default,
        (torch.rand(5), torch.rand(5), 1.0, False, x.detach(), target, *options),
    )
    torch.library.opcheck(ops.softmax_loss.default, (x.detach(), target, *options, True, None, True))
    labels = torch.rand(5, 7)
    rest = (
        torch.rand(7),
        torch.rand(5, 7),
        torch.rand(5, 7) < 0.5,
        True,
        False,
        0.1,
        torch.rand(7),
        2.0,
        0.3,
        torch.rand(5),
    )
    torch.library.opcheck(ops.sigmoid_nll.default, (x, labels, *rest))
    torch.library.opcheck(
        ops.sigmoid_nll_backward.default, (torch.rand(5, 7), 1.0, x.detach(), labels, *rest)
    )
    torch.library.opcheck(ops.sigmoid_loss.default, (x.detach(), labels, *rest, True, None, True))


def _loss(x: Tensor, target: Tensor, **options: object) -> Tensor:
    return dispatch.softmax_loss(x, target, **options)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_second_backward_is_not_corrupted(dtype: torch.dtype) -> None:
    x = torch.randn(6, 5, dtype=torch.float64).to(dtype).requires_grad_()
    loss = _loss(x, torch.tensor([0, 1, 2, 3, 4, -100]))
    (first,) = torch.autograd.grad(loss, x, torch.tensor(3.0, dtype=loss.dtype), retain_graph=True)
    kept = first.clone()
    first.mul_(7)  # the caller owns it
    (second,) = torch.autograd.grad(loss, x, torch.tensor(3.0, dtype=loss.dtype), retain_graph=True)
    torch.testing.assert_close(second, kept)
    (third,) = torch.autograd.grad(loss, x, torch.tensor(-1.0, dtype=loss.dtype))
    torch.testing.assert_close(third * -3, kept)


def test_a_graph_that_was_freed_says_so() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    loss = _loss(x, torch.tensor([0, 1, 2]))
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_the_gradient_is_given_away_not_copied() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    y = x * 1
    y.register_hook(lambda g: seen.append(g.data_ptr()))
    seen: list[int] = []
    loss = _loss(y, torch.tensor([0, 1, 2]))
    made = loss.grad_fn.made[0].data_ptr()
    loss.backward()
    assert seen == [made]


def test_logits_may_change_between_forward_and_backward_as_in_torch() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    y = x * 1
    loss = _loss(y, torch.tensor([0, 1, 2]))
    expected = (x.detach().softmax(1) - torch.eye(4)[[0, 1, 2]]) / 3
    with torch.no_grad():
        y.zero_()
    loss.backward()
    torch.testing.assert_close(x.grad, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(6, 5), (6, 300), (2, 3, 4, 5)])
def test_inplace_backward_writes_over_the_logits(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape).to(dtype)
    target = torch.randint(shape[1], (shape[0], *shape[2:]))
    plain, scratch = x.clone().requires_grad_(), x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(_loss(plain, target), plain)
    y = scratch * 1
    version, place = y._version, y.data_ptr()
    loss = _loss(y, target, inplace_backward=True)
    assert y._version > version
    (gradient,) = torch.autograd.grad(loss, y)
    assert gradient.data_ptr() == place
    assert torch.equal(gradient, expected)


def test_inplace_backward_has_one_backward() -> None:
    x = torch.randn(4, 5, requires_grad=True)
    y = x * 1
    loss = _loss(y, torch.tensor([0, 1, 2, 3]), inplace_backward=True)
    torch.autograd.grad(loss, y, retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, y)


def test_inplace_backward_is_refused_where_it_cannot_be() -> None:
    target = torch.tensor([0, 1])
    x = torch.randn(2, 3, requires_grad=True)
    with pytest.raises(OptionError, match="float16"):
        _loss(x.half() * 1, target, inplace_backward=True)
    with use_backend("reference"), pytest.raises(OptionError, match="native"):
        _loss(x * 1, target, inplace_backward=True)
    weight = torch.ones(3, requires_grad=True)
    with pytest.raises(OptionError, match="differentiated"):
        _loss(x * 1, target, inplace_backward=True, weight=weight)
    strided = (torch.randn(3, 2, requires_grad=True) * 1).t()
    with pytest.raises(OptionError, match="contiguous"):
        _loss(strided, target, inplace_backward=True)


def test_double_backward_and_transforms() -> None:
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([2, -100, 0])
    weight = torch.rand(4, dtype=torch.float64)

    def loss(z: Tensor) -> Tensor:
        return _loss(z, target, weight=weight, label_smoothing=0.1, z_loss=0.1, softcap=4.0)

    def labels(z: Tensor) -> Tensor:
        return dispatch.sigmoid_loss(z, torch.full_like(z, 0.3).detach(), pos_weight=weight)

    for f in (loss, labels):
        assert torch.autograd.gradcheck(f, (x,), check_forward_ad=True, check_batched_grad=True)
        assert torch.autograd.gradgradcheck(f, (x,))
        hessian = torch.func.hessian(f)(x.detach())
        torch.testing.assert_close(hessian, torch.autograd.functional.hessian(f, x.detach()))
    rows = torch.vmap(torch.func.grad(loss))(torch.stack([x.detach()] * 2))
    torch.testing.assert_close(rows[0], torch.func.grad(loss)(x.detach()))


@pytest.mark.parametrize("outside", [5, -1, -101, 2**40])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (4, 200)])
def test_an_index_out_of_range_raises_before_anything_is_written(
    shape: tuple[int, ...], outside: int
) -> None:
    target = torch.zeros((shape[0], *shape[2:]), dtype=torch.int64)
    target.view(-1)[3] = outside + (195 if shape[1] == 200 and outside == 5 else 0)
    x = torch.randn(shape, requires_grad=True)
    before = x.detach().clone()
    with pytest.raises(IndexError, match=r"out of bounds: target\["):
        dispatch.softmax_nll(x, target)
    y = x * 1
    with pytest.raises(IndexError, match=r"out of bounds: target\["):
        _loss(y, target, inplace_backward=True)
    assert torch.equal(y, before)


@pytest.mark.parametrize("shape", [(0, 5), (0, 5, 3), (2, 5, 0)])
def test_nothing_to_do(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, requires_grad=True)
    target = torch.zeros((shape[0], *shape[2:]), dtype=torch.int64)
    nll, lse = dispatch.softmax_nll(x, target)
    assert nll.shape == lse.shape == target.shape
    assert _loss(x, target).isnan()
    assert _loss(x, target, reduction="sum") == 0
    (gradient,) = torch.autograd.grad(_loss(x, target, reduction="sum"), x)
    assert gradient.shape == shape
    assert dispatch.sigmoid_nll(x, torch.zeros(shape)).shape == shape


@pytest.mark.parametrize("shape", [(300, 1000), (70000, 10), (2, 21, 130, 130), (3, 100_003)])
def test_threads_do_not_matter_to_the_bits(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, requires_grad=True)
    target = torch.randint(shape[1], (shape[0], *shape[2:]))
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            loss = _loss(x, target, weight=torch.ones(shape[1]), label_smoothing=0.1)
            results.append((loss.detach(), *torch.autograd.grad(loss, x)))
    finally:
        torch.set_num_threads(before)
    for loss, gradient in results[1:]:
        assert torch.equal(loss, results[0][0])
        assert torch.equal(gradient, results[0][1])


@pytest.mark.parametrize("op", ["softmax", "sigmoid"])
def test_four_callers_at_once(op: str) -> None:
    x = torch.randn(64, 1000)
    classes, labels = torch.randint(1000, (64,)), torch.rand(64, 1000).round()
    labels[1] = 0.3

    def run() -> Tensor:
        y = x.clone().requires_grad_()
        loss = (
            _loss(y, classes)
            if op == "softmax"
            else dispatch.sigmoid_loss(y, labels, pos_weight=torch.linspace(0.5, 2, 1000))
        )
        return torch.autograd.grad(loss, y)[0]

    expected, results = run(), []
    threads = [threading.Thread(target=lambda: results.append([run() for _ in range(5)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(r, expected) for batch in results for r in batch)
    assert len(results) == 4


def _bce(x: Tensor, t: Tensor, positive: Tensor, each: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and gradient of double logits, by the formula; `t` is far enough from the sigmoid for a double."""
    zero = torch.zeros_like(x)
    nll = each * (positive * t * torch.logaddexp(zero, -x) + (1 - t) * torch.logaddexp(zero, x))
    return nll, each * ((1 - t) * x.sigmoid() - positive * t * (-x).sigmoid())


@pytest.mark.parametrize("columns", [1, 3, 511, 512, 513, 1500])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_blocks_of_every_kind_side_by_side(columns: int, dtype: torch.dtype) -> None:
    # One call with blocks of labels 0 and 1, of soft ones, with an infinite logit, and one that is cut short.
    g = _seeded(columns)
    shape = (3000 // columns, columns)
    x = (torch.randn(shape, generator=g, dtype=torch.float64) * 6).to(dtype)
    t = torch.rand(shape, generator=g, dtype=torch.float64).round()
    t.view(-1)[1024:1600] = 0.25
    t = t.to(dtype)
    x.view(-1)[2100] = math.inf
    t.view(-1)[2100] = 0
    t.view(-1)[2101] = math.nan
    positive = torch.rand(columns, generator=g) + 0.5
    each = torch.rand(shape, generator=g) + 0.5
    z = x.detach().requires_grad_()
    nll = dispatch.sigmoid_nll(z, t, weight=each, pos_weight=positive)
    gradient = torch.autograd.grad(nll.sum(), z)[0]
    expected, slope = _bce(x.double(), t.double().nan_to_num(nan=0.0), positive.double(), each.double())
    expected.view(-1)[2100], slope.view(-1)[2100] = math.inf, each.view(-1)[2100]
    expected.view(-1)[2101] = slope.view(-1)[2101] = 0
    close = {torch.float32: 1e-6, torch.float64: 1e-13, torch.bfloat16: 1e-6}[dtype]
    torch.testing.assert_close(nll.double(), expected, rtol=close, atol=0)
    close = {torch.bfloat16: 2**-8, torch.float32: 3e-6}.get(dtype, close)
    torch.testing.assert_close(gradient.double(), slope, rtol=close, atol=close / 10)


def test_deterministic_mode_never_raises() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        x = torch.randn(8, 10, requires_grad=True)
        assert torch.equal(*[torch.autograd.grad(_loss(x, torch.arange(8)), x)[0] for _ in range(2)])
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.large
def test_more_than_2_to_the_31_elements() -> None:
    rows, classes = 20_000, 120_000  # 2.4e9 float16 zeros: pages that are never written cost nothing
    logits = torch.from_numpy(np.zeros((rows, classes), dtype=np.float16))
    target = torch.full((rows,), -100)
    target[-1] = classes - 1
    logits[-1, -1] = 3
    loss = _loss(logits, target)
    assert loss.item() == pytest.approx(math.log1p((classes - 1) * math.exp(-3)), rel=1e-6)


def test_instruction_sets_are_named() -> None:
    from likelihead.kernels.native._library import instruction_set

    assert instruction_set() in ("baseline", "avx2", "avx512")


def test_meta_tensors_have_shapes() -> None:
    x = torch.randn(3, 4, device="meta", requires_grad=True)
    target = torch.zeros(3, dtype=torch.long, device="meta")
    for loss in (dispatch.softmax_loss(x, target), dispatch.sigmoid_loss(x, x.detach())):
        (grad,) = torch.autograd.grad(loss, x)
        assert loss.is_meta
        assert loss.shape == ()
        assert grad.shape == x.shape
    with pytest.raises(OptionError, match="meta"):
        dispatch.softmax_loss(x, target, inplace_backward=True)
