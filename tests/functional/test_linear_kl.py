"""Divergence of two linear heads: the definition in float64 by their logits, which are not made."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import kl_div, linear

from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.functional import linear_kl
from likelihead.kernels.dispatch import use_backend
from served_here import AVAILABLE, FAST

N, D, E, V = 13, 5, 7, 11
BACKENDS = list(dict.fromkeys([AVAILABLE[0], AVAILABLE[-1]]))  # all but the reference have the same op
DIRECTIONS = ("forward", "reverse", "jsd")
MODULES = [sys.modules[f"likelihead.kernels.fused.{name}"] for name in ("linear_chunks", "linear_kl")]


def heads(n: int = N, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    """A student (hidden states, weight, bias), and a wider teacher."""
    draw = torch.Generator().manual_seed(seed)

    def of(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64).to(dtype)

    student = (of(n, D).requires_grad_(), of(V, D).requires_grad_(), of(V).requires_grad_())
    return (*student, of(n, E), of(V, E), of(V))


def definition(p: Tensor, q: Tensor, direction: str, beta: float = 0.5) -> Tensor:
    """The divergence of each row of probabilities."""

    def kl(a: Tensor, b: Tensor) -> Tensor:
        none = a == 0
        return torch.where(none, 0, a * (torch.where(none, 1, a) / torch.where(none, 1, b)).log()).sum(-1)

    if direction == "jsd":
        m = beta * p + (1 - beta) * q
        return beta * kl(p, m) + (1 - beta) * kl(q, m)
    return kl(p, q) if direction == "forward" else kl(q, p)


def by_logits(
    student: tuple[Tensor, Tensor, Tensor | None],
    teacher: tuple[Tensor, Tensor, Tensor | None],
    *,
    direction: str = "forward",
    beta: float = 0.5,
    temperature: float = 1.0,
    student_softcap: float | None = None,
    teacher_softcap: float | None = None,
    reduction: str = "mean",
    normalizer: Any = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """The same from the logits; the tokens of weight 0 taken away."""

    def softmax(head: tuple[Tensor, Tensor, Tensor | None], cap: float | None) -> Tensor:
        z = linear(*head)
        return ((z if cap is None else cap * torch.tanh(z / cap)) / temperature).softmax(-1)

    values = definition(softmax(teacher, teacher_softcap), softmax(student, student_softcap), direction, beta)
    count: Any = values.numel()
    if sample_weight is not None:
        weight = sample_weight.double().reshape(
            *sample_weight.shape, *[1] * (values.dim() - sample_weight.dim())
        )
        values, count = values * weight, weight.expand(values.shape).sum()
    if reduction == "none":
        return values
    return values.sum() / (1 if reduction == "sum" else count if normalizer is None else normalizer)


def ours(given: tuple[Tensor, ...], **options: Any) -> Tensor:
    h, w, b, th, tw, tb = given
    return linear_kl(h, w, th, tw, student_bias=b, teacher_bias=tb, **options)


def theirs(given: tuple[Tensor, ...], **options: Any) -> Tensor:
    return by_logits(given[:3], given[3:], **options)  # type: ignore[arg-type]


def gradients(value: Tensor, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """With an upstream gradient for each token that is not one."""
    up = torch.arange(1.0, value.numel() + 1, dtype=value.dtype).reshape(value.shape) / 3
    return torch.autograd.grad(value, given[:3], up)


def check(given: tuple[Tensor, ...], rtol: float = 1e-10, **options: Any) -> None:
    chunk = options.pop("chunk_tokens", None)
    mine, want = ours(given, chunk_tokens=chunk, **options), theirs(given, **options)
    torch.testing.assert_close(mine, want, rtol=rtol, atol=rtol)
    for got, other in zip(gradients(mine, given), gradients(want, given), strict=True):
        torch.testing.assert_close(got, other, rtol=rtol, atol=rtol)


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "temperature": {"temperature": 2.5},
    "caps": {"temperature": 0.5, "student_softcap": 3.0, "teacher_softcap": 2.0},
    "weights": {"sample_weight": torch.tensor([0.0, 1.0, 2.5, 0.5] + [1.0] * (N - 5) + [0.0])},
    "normalizer": {"normalizer": 7, "sample_weight": torch.arange(N) % 3 > 0},
    "tensor normalizer": {"normalizer": torch.tensor(3.0, dtype=torch.float64)},
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_the_logits_route(backend: str, direction: str, options: dict[str, Any]) -> None:
    given = heads()
    for chunk in (1, 5, None):
        with use_backend(backend):
            check(given, direction=direction, beta=0.3, chunk_tokens=chunk, **options)
    for reduction in ("none", "sum") if "normalizer" not in options else ():
        with use_backend(backend):
            check(given, direction=direction, chunk_tokens=5, reduction=reduction, **options)


@settings(max_examples=40)
@given(
    st.integers(1, 9),
    st.integers(1, 10),
    st.floats(0.05, 20),
    st.none() | st.floats(0.5, 50),
    st.sampled_from(DIRECTIONS),
    st.floats(0.01, 0.99),
    st.sampled_from(["none", "mean"]),
    st.integers(0, 999),
)
def test_any_combination(
    n: int,
    chunk: int,
    temperature: float,
    softcap: float | None,
    direction: str,
    beta: float,
    reduction: str,
    seed: int,
) -> None:
    check(
        heads(n, seed=seed),
        rtol=1e-7,  # the definition's, where temperatures are high
        chunk_tokens=chunk,
        temperature=temperature,
        student_softcap=softcap,
        direction=direction,
        beta=beta,
        reduction=reduction,
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_derivatives_of_derivatives(backend: str, direction: str, reduction: str) -> None:
    h, w, b, *teacher = heads(4)

    def values(*student: Tensor) -> Tensor:
        return ours((*student, *teacher), direction=direction, reduction=reduction, chunk_tokens=3)

    with use_backend(backend):
        assert torch.autograd.gradcheck(values, (h, w, b), check_forward_ad=True, fast_mode=True)
        assert torch.autograd.gradgradcheck(values, (h, w, b), fast_mode=True)


def test_at_a_student_that_is_its_teacher() -> None:
    # The minimum: no value, no gradient, and the Fisher information as the second derivative.
    z = torch.tensor([[1.0, -2.0, 0.5, 3.0]], dtype=torch.float64)
    eye = torch.eye(4, dtype=torch.float64)
    p = z.softmax(-1)[0]
    fisher = torch.diag(p) - torch.outer(p, p)
    for direction, factor in (("forward", 1.0), ("reverse", 1.0), ("jsd", 0.3 * 0.7)):

        def value(x: Tensor, direction: str = direction) -> Tensor:
            return linear_kl(x, eye, z, eye, direction=direction, beta=0.3)

        x = z.clone().requires_grad_()
        assert value(x).item() == pytest.approx(0, abs=1e-18)
        (gradient,) = torch.autograd.grad(value(x), x)
        torch.testing.assert_close(gradient, torch.zeros_like(z), rtol=0, atol=1e-15)
        hessian = torch.autograd.functional.hessian(value, z)[0, :, 0]
        torch.testing.assert_close(hessian, factor * fisher, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("distance", [1e-1, 1e-3, 1e-5])
def test_a_student_near_its_teacher_in_float32(backend: str, direction: str, distance: float) -> None:
    draw = torch.Generator().manual_seed(1)
    classes = 1000
    teacher = torch.randn(8, classes, generator=draw) * 3
    student = (teacher + distance * torch.randn(8, classes, generator=draw)).requires_grad_()
    eye = torch.eye(classes)  # the logits are the hidden states, to the bit
    with use_backend(backend):
        mine = linear_kl(student, eye, teacher, eye, direction=direction, reduction="none", beta=0.2)
        (gradient,) = torch.autograd.grad(mine.sum(), student)
    exact = student.detach().double().requires_grad_()
    p, q = teacher.double().softmax(-1), exact.softmax(-1)
    want = definition(p, q, direction, 0.2)
    (wanted,) = torch.autograd.grad(want.sum(), exact)
    assert want.max() < 2 * distance**2
    # float64 itself has six digits of the smallest, which are 1e-11.
    torch.testing.assert_close(mine.double(), want, rtol=2e-5, atol=0)
    torch.testing.assert_close(gradient.double(), wanted, rtol=1e-3, atol=1e-6 * float(wanted.abs().max()))
    if direction == "forward" and distance == 1e-5:  # which is no easy thing
        plain = kl_div(student.log_softmax(-1), teacher.log_softmax(-1), reduction="none", log_target=True)
        assert ((plain.sum(-1) - want) / want).abs().max() > 1


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_far_apart(backend: str, direction: str) -> None:
    # Gaps at which e to the difference overflows, and the smaller probability is 0.
    eye = torch.eye(3)
    z, t = torch.tensor([[0.0, 200.0, -100.0]]), torch.tensor([[90.0, 0.0, 300.0]])
    z.requires_grad_()
    with use_backend(backend):
        mine = linear_kl(z, eye, t, eye, direction=direction, beta=0.25)
        (gradient,) = torch.autograd.grad(mine, z)
    m = 0.25 * math.log(1 / 0.25) + 0.75 * math.log(1 / 0.75)
    want = {"forward": 300.0, "reverse": 300.0, "jsd": m}[direction]
    assert mine.item() == pytest.approx(want, rel=1e-6)
    assert gradient.isfinite().all()
    if direction == "forward":
        torch.testing.assert_close(gradient, torch.tensor([[0.0, 1.0, -1.0]]))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_classes_that_cannot_be(backend: str, direction: str) -> None:
    h, w, b, th, tw, tb = heads()
    open_ = [k for k in range(V) if k not in (2, 6)]
    shut, shut_too = b.detach().clone(), tb.clone()
    shut[[2, 6]] = shut_too[[2, 6]] = -torch.inf
    few = (h, w[open_], b[open_], th, tw[open_], tb[open_])
    want = theirs(few, direction=direction, reduction="none")
    with use_backend(backend):
        mine = ours((h, w, shut, th, tw, shut_too), direction=direction, reduction="none")
        torch.testing.assert_close(mine, want)
        for got, other in zip(
            torch.autograd.grad(mine.sum(), (h, w)), torch.autograd.grad(want.sum(), (h, w)), strict=True
        ):
            torch.testing.assert_close(got, other)
        # What only one of them can have.
        of_teacher = ours((h, w, shut, th, tw, tb), direction=direction, reduction="none")
        of_student = ours((h, w, b, th, tw, shut_too), direction=direction, reduction="none")
    assert bool((of_teacher == torch.inf).all()) == (direction == "forward")
    assert bool((of_student == torch.inf).all()) == (direction == "reverse")
    q, q_shut = linear(h, w, b).softmax(-1), linear(h, w, shut).softmax(-1)
    p, p_shut = linear(th, tw, tb).softmax(-1), linear(th, tw, shut_too).softmax(-1)
    for value, (a, c) in ((of_teacher, (p, q_shut)), (of_student, (p_shut, q))):
        torch.testing.assert_close(value, definition(a, c, direction))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_many_draws_of_outliers(direction: str) -> None:
    draw = torch.Generator().manual_seed(3)
    scale = torch.tensor([0.0, 1e-3, 1.0, 30.0, 1000.0])[torch.randint(5, (200, 1), generator=draw)]
    t, z = (scale * torch.randn(200, 40, generator=draw) for _ in range(2))
    z[::7, 3] = 500.0
    eye = torch.eye(40)
    z.requires_grad_()
    mine = linear_kl(z, eye, t, eye, direction=direction, reduction="none", beta=0.7)
    exact = z.detach().double().requires_grad_()
    log_p, log_q = t.double().log_softmax(-1), exact.log_softmax(-1)
    if direction == "jsd":
        log_m = torch.logaddexp(log_p + math.log(0.7), log_q + math.log1p(-0.7))
        want = 0.7 * (log_p.exp() * (log_p - log_m)).sum(1) + 0.3 * (log_q.exp() * (log_q - log_m)).sum(1)
    else:
        a, b = (log_p, log_q) if direction == "forward" else (log_q, log_p)
        want = (a.exp() * (a - b)).sum(1)
    torch.testing.assert_close(mine.double(), want, rtol=1e-5, atol=1e-14)
    (got,) = torch.autograd.grad(mine.sum(), z)
    (other,) = torch.autograd.grad(want.sum(), exact)
    # Of differences of thousands float32 keeps 1e-4.
    torch.testing.assert_close(got.double(), other, rtol=1e-4, atol=1e-4)


def test_what_is_left_out_is_not_looked_at() -> None:
    given = heads()
    mask = torch.arange(N) % 3 > 0
    h, th = given[0].detach().clone(), given[3].clone()
    h[~mask], th[~mask] = torch.nan, torch.inf
    h.requires_grad_()
    spoilt = (h, *given[1:3], th, *given[4:])
    kept = (given[0][mask], *given[1:3], given[3][mask], *given[4:])
    mine = ours(spoilt, sample_weight=mask)
    torch.testing.assert_close(mine, theirs(kept))
    grads = torch.autograd.grad(mine, spoilt[:3])
    assert not bool(grads[0][~mask].any())
    for got, want in zip(grads[1:], torch.autograd.grad(theirs(kept), given[1:3]), strict=True):
        torch.testing.assert_close(got, want)
    each = ours(spoilt, sample_weight=mask, reduction="none")
    assert not bool(each[~mask].any())
    assert ours(spoilt, sample_weight=mask & False).isnan()  # the mean of nothing
    assert ours(spoilt, sample_weight=mask & False, reduction="sum").item() == 0


def test_where_values_are_not_looked_at_nan_stays_out_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    given = heads()
    mask = torch.arange(N) % 3 > 0
    want = gradients(ours(given, sample_weight=mask, chunk_tokens=4), given)
    h, th = given[0].detach().clone(), given[3].clone()
    h[~mask], th[~mask] = torch.nan, torch.inf
    spoilt = (h.requires_grad_(), *given[1:3], th, *given[4:])
    for module in MODULES:
        monkeypatch.setattr(module, "looks", lambda device: False)
    mine = gradients(ours(spoilt, sample_weight=mask, chunk_tokens=4), spoilt)
    for got, other in zip(mine, want, strict=True):
        torch.testing.assert_close(got, other)
    each = gradients(ours(spoilt, sample_weight=mask, chunk_tokens=4, reduction="none"), spoilt)
    assert all(bool(g.isfinite().all()) for g in each)
    assert not bool(each[0][~mask].any())


def test_leading_dimensions_and_weights_of_sequences() -> None:
    h, w, b, th, tw, tb = heads(12)
    deep = (h.view(3, 4, D), w, b, th.view(3, 4, E), tw, tb)
    each = torch.tensor([1.0, 0.0, 2.0])
    mine = ours(deep, sample_weight=each, reduction="none")
    assert mine.shape == (3, 4)
    torch.testing.assert_close(mine, theirs(deep, sample_weight=each, reduction="none"))
    torch.testing.assert_close(ours(deep, sample_weight=each), theirs(deep, sample_weight=each))
    one = (h[0], w, b, th[0], tw, tb)
    torch.testing.assert_close(ours(one), theirs(one))
    assert ours(one, reduction="none").shape == ()


def test_no_token_and_one_class() -> None:
    h, w, b, th, tw, tb = heads()
    none = ours((h[:0], w, b, th[:0], tw, tb), reduction="none")
    assert none.shape == (0,)
    total = ours((h[:0], w, b, th[:0], tw, tb), reduction="sum")
    assert [bool(g.any()) for g in torch.autograd.grad(total, (w, b))] == [False, False]
    alone = ours((h, w[:1], b[:1], th, tw[:1], tb[:1]), reduction="none")
    assert not bool(alone.any())


@pytest.mark.skipif("native" not in FAST, reason="counts the products of the fused op")
def test_products_and_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more rows of logits than a chunk's; of a scalar loss they are made once, of the values twice."""
    rows: list[int] = []
    real = MODULES[0].logits_of

    def spy(x: Tensor, *rest: Any) -> Tensor:
        rows.append(x.shape[0])
        logits: Tensor = real(x, *rest)
        return logits

    for module in MODULES:
        monkeypatch.setattr(module, "logits_of", spy)
    given = heads()
    loss = ours(given, chunk_tokens=5)
    assert rows == [5, 5, 5, 5, 3, 3]
    loss.backward()
    assert len(rows) == 6
    rows.clear()
    ours(given, chunk_tokens=5, reduction="none").sum().backward()
    assert rows == 2 * [5, 5, 5, 5, 3, 3]
    rows.clear()
    ours(given, sample_weight=torch.arange(N) < 4).backward()
    assert rows == [4, 4]


def test_a_graph_that_is_walked_again() -> None:
    given = heads()
    want = torch.autograd.grad(theirs(given), given[:3])
    loss = ours(given)
    for _ in range(3):
        for got, other in zip(torch.autograd.grad(loss, given[:3], retain_graph=True), want, strict=True):
            torch.testing.assert_close(got, other)
    for part in range(3):
        (got,) = torch.autograd.grad(ours(given), given[part])
        torch.testing.assert_close(got, want[part])
    ups = torch.tensor([1.0, -2.0], dtype=torch.float64)
    several = torch.autograd.grad(ours(given), given[:3], ups, is_grads_batched=True)
    for got, other in zip(several, want, strict=True):
        torch.testing.assert_close(got, torch.stack([other, -2 * other]))


def test_dtypes() -> None:
    exact = heads(40)
    narrow = tuple(t.detach().bfloat16() for t in exact)
    want = theirs(tuple(t.double() for t in narrow), reduction="none")
    for part in narrow[:3]:
        part.requires_grad_()
    mine = ours(narrow, reduction="none")
    assert mine.dtype is torch.float32
    # Logits of about 3 in bfloat16 are off by 0.01.
    torch.testing.assert_close(mine.double(), want, rtol=0.05, atol=0.02)
    assert all(g.dtype is torch.bfloat16 for g in gradients(ours(narrow), narrow))
    # A teacher of another dtype than its student's.
    mixed = (*(t.detach().float().requires_grad_() for t in narrow[:3]), *narrow[3:])
    value = ours(mixed, reduction="none")
    torch.testing.assert_close(value.double(), want, rtol=0.05, atol=0.02)
    wide = (*exact[:3], *(t.float() for t in exact[3:]))
    assert ours(wide).dtype is torch.float64
    torch.testing.assert_close(ours(wide), theirs(exact), rtol=1e-5, atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = ours(tuple(t.float() for t in exact), reduction="none")
    torch.testing.assert_close(cast, ours(tuple(t.float().bfloat16() for t in exact), reduction="none"))


def test_under_the_compiler_and_transforms() -> None:
    h, w, b, *teacher = (t.detach() for t in heads())

    def loss(x: Tensor) -> Tensor:
        each = ours((x, w, b, *teacher), direction="jsd", temperature=2.0, reduction="none")
        return ours((x, w, b, *teacher), direction="reverse") + each.square().sum()

    torch._dynamo.reset()
    x = h.clone().requires_grad_()
    value = torch.compile(loss, fullgraph=True, backend="aot_eager")(x)
    (gradient,) = torch.autograd.grad(value, x)
    torch.testing.assert_close(value, loss(h))
    torch.testing.assert_close(gradient, torch.func.grad(loss)(h))
    x = h.clone().requires_grad_()
    torch.testing.assert_close(torch.autograd.grad(loss(x), x)[0], gradient)


def test_the_teacher_is_a_constant() -> None:
    h, w, _, th, tw, _ = heads()
    for name, teacher in (
        ("hidden", (th.clone().requires_grad_(), tw)),
        ("weight", (th, tw.clone().requires_grad_())),
    ):
        with pytest.raises(RuntimeError, match=rf"teacher_{name} requires a gradient.*teacher_{name}.detach"):
            linear_kl(h, w, *teacher)
        with torch.no_grad():
            linear_kl(h, w, *teacher)


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"direction": "backward"}, OptionError, "direction is 'backward'"),
    ({"direction": None}, OptionError, "direction is None"),
    ({"beta": 0.0}, OptionError, "beta is 0.0"),
    ({"beta": 1}, OptionError, "beta is 1"),
    ({"beta": float("nan")}, OptionError, "beta is nan"),
    ({"beta": "half"}, DTypeError, "beta"),
    ({"temperature": 0.0}, OptionError, "temperature is 0.0"),
    ({"student_softcap": -1.0}, OptionError, "softcap"),
    ({"teacher_softcap": 0.0}, OptionError, "softcap"),
    ({"reduction": "batchmean"}, OptionError, "reduction"),
    ({"chunk_tokens": 0}, OptionError, "chunk_tokens is 0"),
    (
        {"teacher_weight": torch.zeros(V + 1, E).double(), "teacher_bias": None},
        ShapeError,
        "of 11 and 12 tokens",
    ),
    ({"teacher_weight": torch.zeros(V, E + 1).double()}, ShapeError, "7 wide and the head takes 8"),
    ({"student_weight": torch.zeros(V, D + 1).double()}, ShapeError, "5 wide and the head takes 6"),
    (
        {"teacher_hidden": torch.zeros(N + 1, E).double()},
        ShapeError,
        r"\[13, 5\] and teacher_hidden \[14, 7\]",
    ),
    ({"teacher_hidden": torch.zeros(N, E)}, DTypeError, "teacher_hidden is torch.float32"),
    ({"student_hidden": torch.zeros(N, D)}, DTypeError, "student_hidden is torch.float32"),
    ({"teacher_bias": torch.zeros(V + 1).double()}, ShapeError, "teacher_bias"),
    ({"student_bias": torch.zeros(V - 1).double()}, ShapeError, "student_bias"),
    ({"sample_weight": torch.ones(N + 1)}, ShapeError, "LH603"),
    ({"teacher_weight": torch.zeros(V, E, device="meta").double()}, RuntimeError, "teacher_weight on meta"),
    ({"teacher_hidden": [1.0]}, TypeError, "teacher_hidden"),
]


@pytest.mark.parametrize(("wrong", "error", "words"), WRONG)
def test_bad_input_is_named(wrong: dict[str, Any], error: type[Exception], words: str) -> None:
    names = (
        "student_hidden",
        "student_weight",
        "student_bias",
        "teacher_hidden",
        "teacher_weight",
        "teacher_bias",
    )
    with pytest.raises(error, match=words):
        linear_kl(**(dict(zip(names, heads(), strict=True)) | wrong))
