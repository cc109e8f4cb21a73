"""The categorical kernel against 60-digit arithmetic, in every regime that NUMERICS promises."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from likelihead.kernels.dispatch import softmax_nll
from oracles.exact import categorical_nll, worst_ulps

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


# Every test of this file holds for every backend of this machine; there is no marking one as an exception.
pytestmark = pytest.mark.usefixtures("backend")


# Largest error in units of the last place: loss and gradient.
BOUND = {"float64": 4.0, "float32": 4.0, "float16": 1.0, "bfloat16": 1.0}

finite = st.floats(-20, 20) | st.sampled_from([1e4, -1e4, 0.0, -0.0, 60.0, -60.0, 1e-40])


def _regime(name: str) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(12, 40, generator=generator, dtype=torch.float64)
    target = torch.randint(40, (12,), generator=generator)
    if name.startswith("confident"):
        margin = float(name.split("+")[1])
        x.scatter_(1, target[:, None], x.max(1, keepdim=True).values + margin)
    elif name == "scale 20":
        x = x * 20
    elif name == "offset 1e4":
        x = x + 1e4
    elif name == "mixed 1e4":
        x = torch.where(x > 0, 1e4, -1e4) + x
    elif name == "two classes":
        x, target = x[:, :2] * 8, target % 2
    return x, target


REGIMES = [
    "random", "scale 20", "confident+10", "confident+20", "confident+60", "offset 1e4",
    "mixed 1e4", "two classes",
]  # fmt: skip


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("name", DTYPES)
def test_value_and_gradient_to_the_last_digit(name: str, regime: str) -> None:
    x, target = _regime(regime)
    dtype = DTYPES[name]
    logits = x.to(dtype).requires_grad_()
    exact = [categorical_nll(row, int(k)) for row, k in zip(logits.tolist(), target, strict=True)]
    nll, lse = softmax_nll(logits, target)
    (gradient,) = torch.autograd.grad(nll.sum(), logits)
    rounded = nll.to(dtype)
    assert worst_ulps(rounded, [e[0] for e in exact], dtype) <= BOUND[name]
    assert worst_ulps(gradient, [g for e in exact for g in e[1]], dtype) <= BOUND[name]
    assert worst_ulps(lse.to(dtype), [e[2] for e in exact], dtype) <= BOUND[name]


def test_the_textbook_form_would_fail_these_bounds() -> None:
    x, target = _regime("confident+20")
    logits = x.float()
    exact = [categorical_nll(row, int(k))[0] for row, k in zip(logits.tolist(), target, strict=True)]
    textbook = logits.logsumexp(1) - logits.gather(1, target[:, None]).squeeze(1)
    assert worst_ulps(textbook, exact, torch.float32) > 1e6


@st.composite
def _cases(draw: st.DrawFn) -> dict[str, object]:
    classes = draw(st.integers(1, 6))
    row = st.lists(finite, min_size=classes, max_size=classes)
    per_class = st.lists(st.floats(0.1, 3), min_size=classes, max_size=classes)
    rows = draw(st.lists(row, min_size=1, max_size=4))
    soft = draw(st.booleans())
    if soft:
        raw = [draw(st.lists(st.floats(0.05, 1), min_size=classes, max_size=classes)) for _ in rows]
        target: object = [[v / math.fsum(r) for v in r] for r in raw]
    else:
        target = [draw(st.integers(0, classes - 1)) for _ in rows]
    return {
        "rows": rows,
        "target": target,
        "weight": draw(st.none() | per_class),
        "label_smoothing": draw(st.sampled_from([0.0, 0.1, 1.0])),
        "z_loss": draw(st.sampled_from([0.0, 1e-4])),
        "softcap": draw(st.sampled_from([None, 30.0])),
        "logit_offset": draw(st.none() | per_class),
    }


@given(_cases())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_combination_of_options(case: dict[str, object]) -> None:
    rows, target, options = case.pop("rows"), case.pop("target"), case
    exact = [categorical_nll(row, t, **options) for row, t in zip(rows, target, strict=True)]
    logits = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    tensors = {
        k: torch.tensor(v, dtype=torch.float64) if isinstance(v, list) else v for k, v in options.items()
    }
    soft = isinstance(target[0], list)
    nll, lse = softmax_nll(logits, torch.tensor(target, dtype=torch.float64 if soft else None), **tensors)
    upstream = torch.linspace(-1.5, 2, len(rows), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(nll, logits, upstream)
    expected = torch.tensor([float(e[0]) for e in exact], dtype=torch.float64)
    slope = torch.tensor([[float(g) for g in e[1]] for e in exact], dtype=torch.float64) * upstream[:, None]
    torch.testing.assert_close(nll, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(lse, torch.tensor([float(e[2]) for e in exact], dtype=torch.float64))
    torch.testing.assert_close(gradient, slope, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8])
def test_index_dtypes(dtype: torch.dtype) -> None:
    logits, target = torch.randn(5, 7), torch.tensor([0, 6, 3, 3, 1])
    assert torch.equal(softmax_nll(logits, target.to(dtype))[0], softmax_nll(logits, target)[0])


def test_uint8_class_156_is_not_the_default_ignore_index() -> None:
    logits = torch.randn(1, 200)
    nll, _ = softmax_nll(logits, torch.tensor([156], dtype=torch.uint8))
    assert nll.item() > 0


def test_ignored_rows_score_zero_with_gradient_zero() -> None:
    logits = torch.randn(4, 5, requires_grad=True)
    target = torch.tensor([1, -7, 4, -7])
    nll, _ = softmax_nll(logits, target, ignore_index=-7, label_smoothing=0.2, z_loss=0.1)
    (gradient,) = torch.autograd.grad(nll.sum(), logits)
    assert nll[1] == nll[3] == 0
    assert not gradient[[1, 3]].any()
    assert gradient[[0, 2]].all()


def test_masked_classes_have_no_part_in_it() -> None:
    logits = torch.tensor([[0.5, -math.inf, 1.5, -math.inf]], requires_grad=True)
    nll, _ = softmax_nll(logits, torch.tensor([0]))
    (gradient,) = torch.autograd.grad(nll.sum(), logits)
    small = torch.tensor([[0.5, 1.5]], requires_grad=True)
    expected, _ = softmax_nll(small, torch.tensor([0]))
    (expected_gradient,) = torch.autograd.grad(expected.sum(), small)
    assert torch.equal(nll, expected)
    assert torch.equal(gradient[:, [0, 2]], expected_gradient)
    assert torch.equal(gradient[:, [1, 3]], torch.zeros(1, 2))


def test_a_masked_class_without_a_share_of_the_target_adds_nothing() -> None:
    logits = torch.tensor([[0.5, -math.inf, 1.5]], requires_grad=True)
    small = torch.tensor([[0.5, 1.5]])
    q = torch.tensor([[0.25, 0.0, 0.75]], requires_grad=True)
    nll, _ = softmax_nll(logits, q)
    expected, _ = softmax_nll(small, q.detach()[:, [0, 2]])
    torch.testing.assert_close(nll, expected)
    slope, slope_of_q = torch.autograd.grad(nll.sum(), (logits, q))
    assert slope[0, 1] == 0
    # A finite cost is the gradient of the share, also where the share is 0.
    torch.testing.assert_close(slope_of_q[:, [0, 2]], -small.log_softmax(1))
    weight = torch.tensor([1.0, 0.0, 2.0])
    for target in ([0], [1]):
        smooth, _ = softmax_nll(logits, torch.tensor(target), weight=weight, label_smoothing=0.3)
        assert smooth.isfinite()
        as_torch, _ = softmax_nll(
            logits, torch.tensor(target), weight=weight, label_smoothing=0.3, torch_nonfinite=True
        )
        assert as_torch.isnan()


@pytest.mark.parametrize("softcap", [None, 5.0])
def test_a_nan_in_an_ignored_row_stays_there(softcap: float | None) -> None:
    logits = torch.tensor([[math.nan, 0.0], [-math.inf, -math.inf], [1.0, 2.0]], requires_grad=True)
    target = torch.tensor([-100, -100, 0])
    nll, _ = softmax_nll(logits, target, label_smoothing=0.1, z_loss=0.1, softcap=softcap)
    (gradient,) = torch.autograd.grad(nll.sum(), logits)
    assert torch.equal(nll[:2], torch.zeros(2))
    assert torch.equal(gradient[:2], torch.zeros(2, 2))
    assert gradient[2].all()


def test_the_target_at_minus_infinity_is_impossible() -> None:
    logits = torch.tensor([[0.0, -math.inf]], requires_grad=True)
    nll, _ = softmax_nll(logits, torch.tensor([1]))
    (gradient,) = torch.autograd.grad(nll.sum(), logits)
    assert nll.item() == math.inf
    assert torch.equal(gradient, torch.tensor([[1.0, -1.0]]))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_and_infinity_are_not_hidden(bad: float) -> None:
    nll, _ = softmax_nll(torch.tensor([[0.0, bad, 1.0]]), torch.tensor([0]))
    assert nll.isnan().all()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("soft", [False, True])
def test_spatial_layouts_equal_rows(memory_format: torch.memory_format, soft: bool) -> None:
    logits = torch.randn(2, 5, 3, 4, dtype=torch.float64).to(memory_format=memory_format).requires_grad_()
    target = torch.randn(2, 5, 3, 4).softmax(1).double() if soft else torch.randint(5, (2, 3, 4))
    weight = torch.rand(5, dtype=torch.float64)
    nll, _ = softmax_nll(logits, target, weight=weight, label_smoothing=0.1)
    rows = logits.movedim(1, -1).reshape(-1, 5)
    flat_target = target.movedim(1, -1).reshape(-1, 5) if soft else target.reshape(-1)
    flat, _ = softmax_nll(rows, flat_target, weight=weight, label_smoothing=0.1)
    torch.testing.assert_close(nll.reshape(-1), flat, rtol=1e-14, atol=1e-14)
    g1, g2 = (torch.autograd.grad(v.sum(), logits)[0] for v in (nll, flat))
    torch.testing.assert_close(g1, g2, rtol=1e-13, atol=1e-14)


def test_70000_equal_float16_logits() -> None:
    logits = torch.zeros(2, 70_000, dtype=torch.float16)
    nll, _ = softmax_nll(logits, torch.tensor([1, 69_999]))
    torch.testing.assert_close(nll, torch.full((2,), math.log(70_000)))


def test_derivatives_of_every_order() -> None:
    weight = torch.rand(4, dtype=torch.float64)
    target = torch.tensor([2, -100, 0])

    def loss(x: Tensor) -> Tensor:
        options = {"weight": weight, "label_smoothing": 0.1, "z_loss": 0.01, "softcap": 5.0}
        return softmax_nll(x, target, logit_offset=weight, **options)[0]

    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (x,), check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(loss, (x,), check_fwd_over_rev=True)


def test_any_number_of_classes_under_one_trace() -> None:
    torch._dynamo.reset()
    compiled = torch.compile(_of_largest, fullgraph=True, dynamic=True, backend="aot_eager")
    # A second compilation would stop here; a size of the example must not be built into the trace either.
    with torch._dynamo.config.patch(error_on_recompile=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.trace says that it is on its way out
        traced = torch.jit.trace(_of_largest, (torch.randn(2, 3),))
        for classes in (3, 4, 9, 1000):
            logits = 3 * torch.randn(5, classes)
            torch.testing.assert_close(compiled(logits), _of_largest(logits))
            torch.testing.assert_close(traced(logits), _of_largest(logits))


def _of_largest(logits: Tensor) -> Tensor:
    return softmax_nll(logits, logits.argmax(1))[0]
