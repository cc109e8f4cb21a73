"""The divergence of two rows of logits by the native kernel: the definition in float64, and its edges."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from likelihead.kernels.dispatch import backends

NATIVE = {b.name: b for b in backends()}["native"]
pytestmark = pytest.mark.skipif(not NATIVE.available, reason=f"native is absent: {NATIVE.reason}")

DIRECTIONS = ("forward", "reverse", "jsd")
BETA = 0.3
INF, NAN = math.inf, math.nan


def ours(
    up: Tensor | None,
    z: Tensor,
    t: Tensor,
    direction: str,
    beta: float = BETA,
    caps: tuple[float, float] = (0, 0),
) -> tuple[Tensor, Tensor]:
    """The values, and what became of the student's logits."""
    over = z.clone()
    values: Tensor = torch.ops.likelihead.softmax_kl_(up, over, t, direction, beta, *caps)
    return values, over


def definition(log_p: Tensor, log_q: Tensor, direction: str, beta: float) -> Tensor:
    """By sums in which nothing cancels: a log(a / b) sums to what a (b / a - 1 - log(b / a)) does."""

    def of(log_a: Tensor, log_b: Tensor) -> Tensor:
        ratio = log_b - log_a
        far = ratio > 1
        some = torch.where(far, 0, ratio)
        terms = log_a.exp() * (some.expm1() - some)
        return torch.where(far, log_b.exp() - log_a.exp() * (1 + ratio), terms).sum(1)

    if direction == "jsd":
        log_m = torch.logaddexp(log_p + math.log(beta), log_q + math.log1p(-beta))
        return beta * of(log_p, log_m) + (1 - beta) * of(log_q, log_m)
    return of(log_p, log_q) if direction == "forward" else of(log_q, log_p)


def exact(
    up: Tensor, z: Tensor, t: Tensor, direction: str, beta: float = BETA, caps: tuple[float, float] = (0, 0)
) -> tuple[Tensor, Tensor]:
    """The same in float64, by autograd."""
    leaf, t = z.double().requires_grad_(), t.double()
    capped = [cap * torch.tanh(x / cap) if cap else x for x, cap in zip((leaf, t), caps, strict=True)]
    log_q, log_p = (x.log_softmax(1) for x in capped)
    values = definition(log_p, log_q, direction, beta)
    (gradient,) = torch.autograd.grad(values, leaf, up.double().expand(len(z)))
    return values.detach(), gradient


def pairs(classes: int, dtype: torch.dtype) -> dict[str, tuple[Tensor, Tensor]]:
    """Students and teachers, 7 rows each."""
    draw = torch.Generator().manual_seed(classes)
    t, z = (3 * torch.randn(7, classes, generator=draw, dtype=torch.float64) for _ in range(2))
    top = torch.zeros(classes)
    top[classes // 2] = 1
    made = {
        "random": (z, t),
        "near": (t + 1e-1 * z, t),
        "nearer": (t + 1e-4 * z, t),
        "confident": (z + 18 * top, t + 22 * top),
        "unlike": (z + 40 * top, t + 40 * top.roll(1)),
        "large": (30 * z, 30 * t),
        "one outlier": (t + 30 * top.roll(2), t),
    }
    return {name: (z.to(dtype), t.to(dtype)) for name, (z, t) in made.items()}


VALUES = {torch.float64: 1e-11, torch.float32: 1e-5, torch.bfloat16: 1e-5, torch.float16: 1e-5}
SLOPES = {torch.float64: 1e-11, torch.float32: 4e-6, torch.bfloat16: 2.0**-8, torch.float16: 2.0**-10}


def check(z: Tensor, t: Tensor, direction: str, beta: float, caps: tuple[float, float]) -> None:
    wide = torch.promote_types(z.dtype, torch.float32)
    up = torch.linspace(-1, 2, len(z), dtype=wide)
    values, gradient = ours(up, z, t, direction, beta, caps)
    alone, untouched = ours(None, z, t, direction, beta, caps)
    assert torch.equal(values, alone)
    assert torch.equal(untouched, z)
    assert (values.dtype, gradient.dtype) == (wide, z.dtype)
    want, slope = exact(up, z, t, direction, beta, caps)
    torch.testing.assert_close(values.double(), want, rtol=VALUES[z.dtype], atol=1e-30)
    # Of a probability near 1 there is no more in the dtype, however small the derivative.
    off = (gradient.double() - slope).abs().amax(1)
    rounding = torch.finfo(wide).eps * up.double().abs() * (1 + want)
    assert (off <= SLOPES[z.dtype] * slope.abs().amax(1) + 8 * rounding).all(), (direction, z.dtype, caps)


def accuracy() -> None:
    for dtype in VALUES:
        for classes in (3, 131, 1003):
            for name, (z, t) in pairs(classes, dtype).items():
                for direction in DIRECTIONS:
                    check(z, t, direction, BETA, (0, 0))
                    # Of capped logits float32 keeps what its tanh does.
                    if dtype is torch.float64 and name in ("random", "near") and classes != 1003:
                        for caps in ((5.0, 0.0), (0.0, 4.0), (8.0, 7.0)):
                            check(z, t, direction, BETA, caps)
                for beta in (0.02, 0.97):
                    check(z, t, "jsd", beta, (0, 0))
        z, t = pairs(131, dtype)["random"]
        for direction in DIRECTIONS:
            check(z / 4, t / 4, direction, BETA, (8.0, 7.0))


def equal_rows() -> None:
    for dtype in VALUES:
        for classes in (1, 2, 40, 1003):
            t = (5 * torch.randn(4, classes)).to(dtype)
            for direction in DIRECTIONS:
                values, gradient = ours(torch.ones((), dtype=dtype), t, t, direction)
                assert not values.any()
                assert not gradient.any()
    z, t = torch.randn(4, 1), torch.randn(4, 1)
    for direction in DIRECTIONS:  # of one class
        assert not ours(torch.ones(4), z, t, direction)[0].any()
        assert not ours(torch.ones(4), z, t, direction)[1].any()


def edges() -> None:
    for dtype in VALUES:
        for classes in (9, 700):
            _infinite(dtype, classes)
            _not_a_number(dtype, classes)


def _infinite(dtype: torch.dtype, classes: int) -> None:
    z, t = pairs(classes, dtype)["random"]
    up = torch.linspace(1, 2, 7, dtype=torch.promote_types(dtype, torch.float32))
    shut = [1, classes - 2]
    open_ = [k for k in range(classes) if k not in shut]
    z_shut, t_shut = z.clone(), t.clone()
    z_shut[:, shut] = t_shut[:, shut] = -INF
    close = {"rtol": max(SLOPES[dtype], 1e-5), "atol": 1e-6}
    for direction in DIRECTIONS:
        # Classes that neither can have, are not there.
        values, gradient = ours(up, z_shut, t_shut, direction)
        want, slope = exact(up, z[:, open_], t[:, open_], direction)
        torch.testing.assert_close(values.double(), want, rtol=VALUES[dtype], atol=0)
        torch.testing.assert_close(gradient[:, open_].double(), slope, **close)
        assert not gradient[:, shut].any()
        # What the student alone cannot have; one row of several, whose neighbours do not notice.
        one = z.clone()
        one[3, shut] = -INF
        values, gradient = ours(up, one, t, direction)
        want, slope = exact(up, torch.where(one == -INF, -600, one), t, direction)
        apart = torch.arange(7) != 3
        plain, plain_gradient = ours(up, z, t, direction)
        assert torch.equal(values[apart], plain[apart])
        assert torch.equal(gradient[apart], plain_gradient[apart])
        assert (values[3] == INF) == (direction == "forward")
        torch.testing.assert_close(gradient.double(), slope, **close)
        if direction != "forward":
            torch.testing.assert_close(values.double(), want, rtol=VALUES[dtype], atol=0)
        # And the teacher alone.
        one = t.clone()
        one[3, shut] = -INF
        values, gradient = ours(up, z, one, direction)
        want, slope = exact(up, z, torch.where(one == -INF, -600, one), direction)
        if direction == "reverse":
            assert values[3] == INF
            assert gradient[3].isnan().all()
        else:
            torch.testing.assert_close(values.double(), want, rtol=VALUES[dtype], atol=0)
            torch.testing.assert_close(gradient[3].double(), slope[3], **close)
        assert torch.equal(gradient[apart], plain_gradient[apart])


def _not_a_number(dtype: torch.dtype, classes: int) -> None:
    z, t = pairs(classes, dtype)["random"]
    up = torch.ones((), dtype=torch.promote_types(dtype, torch.float32))
    apart = torch.arange(7) != 2
    for direction in DIRECTIONS:
        plain = ours(up, z, t, direction)
        for at in (0, classes // 2, classes - 1, slice(None)):
            for bad in (NAN, INF, -INF):
                if bad == -INF and at != slice(None):
                    continue
                for side in (0, 1):
                    given = [z.clone(), t.clone()]
                    given[side][2, at] = bad
                    for got, other in zip(ours(up, *given, direction), plain, strict=True):
                        assert got[2].isnan().all(), (direction, at, bad, side)
                        assert torch.equal(got[apart], other[apart])


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_the_definition(isa: str) -> None:
    code = "from kernels import test_softmax_kl as t; t.accuracy(); t.equal_rows(); t.edges()"
    folder = Path(__file__).parents[1]
    variables = {"LIKELIHEAD_ISA": isa, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", f"import torch; torch.manual_seed(0); {code}"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_plain_sums_would_not_do() -> None:
    z, t = pairs(1003, torch.float32)["nearer"]
    want, _ = exact(torch.ones(()), z, t, "forward")
    log_p, log_q = t.log_softmax(1), z.log_softmax(1)
    plain = (log_p.exp() * (log_p - log_q)).sum(1)
    assert ((plain - want) / want).abs().max() > 100 * VALUES[torch.float32]


def test_a_student_far_away() -> None:
    # Differences that float32 cannot hold, and exponentials that are 0.
    z, t = torch.tensor([[0.0, 200.0, -100.0]]), torch.tensor([[90.0, 0.0, 300.0]])
    for direction, want in (
        ("forward", 300.0),
        ("reverse", 300.0),
        ("jsd", -0.3 * math.log(0.3) - 0.7 * math.log(0.7)),
    ):
        values, gradient = ours(torch.ones(1), z, t, direction)
        assert values.item() == pytest.approx(want, rel=1e-6)
        assert gradient.isfinite().all()
    z, t = torch.tensor([[3e38, -3e38, 0.0]]), torch.tensor([[3e38, 0.0, -3e38]])
    for direction in DIRECTIONS:
        values, gradient = ours(torch.ones(1), z, t, direction)
        assert values.item() == 0
        assert not gradient.any()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_threads_and_what_lies_beyond(direction: str) -> None:
    z, t = torch.randn(61, 1003), torch.randn(61, 1003)
    up, before, results = torch.rand(61), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            memory = torch.full((z.numel() + 128,), 7.0)
            over = memory[64:-64].view_as(z).copy_(z)
            values = torch.ops.likelihead.softmax_kl_(up, over, t, direction, BETA, 0, 0)
            assert memory[:64].eq(7).all()
            assert memory[-64:].eq(7).all()
            results.append((values, over))
    finally:
        torch.set_num_threads(before)
    for values, over in results[1:]:
        assert torch.equal(values, results[0][0])
        assert torch.equal(over, results[0][1])
    # One upstream number for all, of another dtype.
    half = ours(torch.tensor(0.5, dtype=torch.float64), z, t, direction)[1]
    torch.testing.assert_close(half, ours(torch.full((61,), 0.5), z, t, direction)[1], rtol=0, atol=0)


def test_no_rows() -> None:
    none = torch.empty(0, 5)
    assert ours(torch.ones(()), none, none, "forward")[0].shape == (0,)


X = torch.zeros(3, 5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((None, X, X, "backward", 0.5, 0, 0), "direction is 'backward'"),
        ((None, X, X, "jsd", 1.0, 0, 0), "beta is 1"),
        ((None, X, X, "jsd", NAN, 0, 0), "beta is nan"),
        ((None, X, X, "forward", 0.5, -1, 0), "softcap"),
        ((None, X, X[:2], "forward", 0.5, 0, 0), "teacher must have the shape"),
        ((None, X, X.double(), "forward", 0.5, 0, 0), "teacher must have the shape"),
        ((None, X[:, ::2], X[:, ::2], "forward", 0.5, 0, 0), "logits must be"),
        ((None, X[:, :0], X[:, :0], "forward", 0.5, 0, 0), "logits must be"),
        ((None, X.long(), X.long(), "forward", 0.5, 0, 0), "logits must be"),
        ((torch.ones(2), X, X, "forward", 0.5, 0, 0), "one number, or one per row"),
    ],
)
def test_bad_input_is_named(given: tuple[object, ...], words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        torch.ops.likelihead.softmax_kl_(*given)
    assert not X.any()
