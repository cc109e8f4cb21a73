"""Distillation from k kept log-probabilities: the divergence of k + 1 buckets, by the logits in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import linear

from likelihead.errors import DomainError, DTypeError, OptionError, ShapeError
from likelihead.functional import linear_kl, linear_kl_topk
from likelihead.kernels.dispatch import use_backend
from served_here import AVAILABLE

N, D, V, K = 9, 5, 11, 4
BACKENDS = list(dict.fromkeys([AVAILABLE[0], AVAILABLE[-1]]))  # all but the reference have the same op


def student(n: int = N, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return tuple(  # type: ignore[return-value]
        torch.randn(*shape, generator=draw, dtype=torch.float64).requires_grad_()
        for shape in ((n, D), (V, D), (V,))
    )


def kept(n: int = N, k: int = K, *, seed: int = 1) -> tuple[Tensor, Tensor]:
    """A teacher's k largest log-probabilities, in no order, and their classes."""
    draw = torch.Generator().manual_seed(seed)
    log_probs, index = torch.randn(n, V, generator=draw, dtype=torch.float64).mul(2).log_softmax(-1).topk(k)
    order = torch.randperm(k, generator=draw)
    return log_probs[:, order], index[:, order]


def definition(z: Tensor, log_probs: Tensor, index: Tensor) -> Tensor:
    """The divergence of the buckets, for the student's logits."""
    q, p = z.softmax(-1), log_probs.exp()
    chosen = q.gather(-1, index)
    values = (p * (p / chosen).log()).sum(-1)
    if index.shape[-1] == z.shape[-1]:
        return values
    p_rest = 1 - p.sum(-1)
    q_rest = q.scatter(-1, index, 0).sum(-1)
    return values + torch.where(p_rest == 0, 0, p_rest * (torch.where(p_rest == 0, 1, p_rest) / q_rest).log())


def check(
    head: tuple[Tensor, Tensor, Tensor], log_probs: Tensor, index: Tensor, rtol: float = 1e-10, **options: Any
) -> None:
    h, w, b = head
    chunk = options.pop("chunk_tokens", None)
    mine = linear_kl_topk(h, w, log_probs, index, student_bias=b, chunk_tokens=chunk, **options)
    z, cap = linear(h, w, b), options.get("student_softcap")
    z = (z if cap is None else cap * torch.tanh(z / cap)) / options.get("temperature", 1.0)
    want = definition(z, log_probs, index.long())
    weight = options.get("sample_weight")
    count = want.numel() if weight is None else weight.sum()
    want = want if weight is None else want * weight
    if options.get("reduction", "mean") != "none":
        want = want.sum() / (count if options.get("reduction", "mean") == "mean" else 1)
    torch.testing.assert_close(mine, want, rtol=rtol, atol=rtol)
    up = torch.arange(1.0, mine.numel() + 1, dtype=mine.dtype).reshape(mine.shape) / 3
    grads = (torch.autograd.grad(value, head, up) for value in (mine, want))
    for got, other in zip(*grads, strict=True):
        torch.testing.assert_close(got, other, rtol=rtol, atol=rtol)


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "temperature": {"temperature": 2.5},
    "cap": {"temperature": 0.5, "student_softcap": 3.0},
    "weights": {"sample_weight": torch.tensor([0.0, 1.0, 2.5, 0.5, 1.0, 0.0, 1.0, 1.0, 3.0])},
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("k", [1, K, V - 1, V])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_the_logits_route(backend: str, k: int, options: dict[str, Any]) -> None:
    for chunk, reduction in ((1, "none"), (4, "mean"), (None, "sum")):
        with use_backend(backend):
            check(student(), *kept(k=k), chunk_tokens=chunk, reduction=reduction, **options)


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(1, V), st.integers(1, 10), st.floats(0.05, 20), st.integers(0, 999))
def test_any_combination(n: int, k: int, chunk: int, temperature: float, seed: int) -> None:
    check(
        student(n, seed=seed),
        *kept(n, k, seed=seed),
        rtol=1e-7,
        temperature=temperature,
        chunk_tokens=chunk,
        reduction="none",
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("k", [K, V])
def test_derivatives_of_derivatives(backend: str, k: int) -> None:
    log_probs, index = kept(4, k)

    def values(h: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return linear_kl_topk(h, w, log_probs, index, student_bias=b, reduction="none", chunk_tokens=3)

    with use_backend(backend):
        assert torch.autograd.gradcheck(values, student(4), check_forward_ad=True, fast_mode=True)
        assert torch.autograd.gradgradcheck(values, student(4), fast_mode=True)


def test_all_tokens_are_the_forward_divergence_and_fewer_are_below() -> None:
    h, w, b = student()
    log_probs, _ = torch.randn(N, V, dtype=torch.float64).log_softmax(-1), None
    whole = linear_kl(h, w, log_probs, torch.eye(V, dtype=torch.float64), student_bias=b, reduction="none")
    last = None
    for k in range(1, V + 1):
        value = linear_kl_topk(h, w, *log_probs.topk(k), student_bias=b, reduction="none")
        assert last is None or bool((value >= last - 1e-12).all())
        last = value
    torch.testing.assert_close(last, whole)


def of_logits(z: list[float], log_probs: list[float], index: list[int]) -> tuple[float, list[float]]:
    """The value and the gradient for these logits, in float32."""
    bias = torch.tensor(z).requires_grad_()  # in a product an infinite one would make the others NaN
    head = torch.zeros(len(z), 1), torch.tensor([log_probs]), torch.tensor([index])
    value = linear_kl_topk(torch.zeros(1, 1), *head, student_bias=bias)
    (gradient,) = torch.autograd.grad(value, bias)
    return value.item(), gradient.tolist()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_rest_of_nothing(backend: str) -> None:
    third, inf = math.log(1 / 3), math.inf
    with use_backend(backend):
        # Log-probabilities that sum to a little more than 1: there is no rest, and nothing is NaN.
        value, gradient = of_logits([1.0, 1.0, 1.0, 0.0], [third + 1e-3] * 3, [0, 1, 2])
        q = math.e / (3 * math.e + 1)
        assert value == pytest.approx(math.log(1 / (3 * q)), rel=1e-5)
        assert gradient == pytest.approx([q - 1 / 3] * 3 + [1 - 3 * q], abs=1e-6)
        # One that is certain, with others that fill the row up.
        value, gradient = of_logits([2.0, 0.0, 0.0, 0.0], [0.0, -inf], [0, 3])
        q = math.exp(2) / (math.exp(2) + 3)
        assert value == pytest.approx(-math.log(q), rel=1e-5)
        assert gradient == pytest.approx([q - 1] + [(1 - q) / 3] * 3, abs=1e-6)
        # All tokens: that their sum is not 1 to the last digit makes no rest, which the student cannot have.
        value, gradient = of_logits([0.0, 0.0], [math.log(0.5) - 1e-4] * 2, [1, 0])
        assert value == pytest.approx(0, abs=1e-7)
        assert gradient == pytest.approx([0, 0], abs=1e-6)
        # A student that cannot have the rest.
        value, _ = of_logits([0.0, 0.0, -inf], [math.log(0.5)] * 2, [1, 0])
        assert value == pytest.approx(0, abs=1e-6)
        value, _ = of_logits([0.0, 0.0, -inf], [math.log(0.4)] * 2, [1, 0])
        assert value == inf
        # A rest that the student finds very unlikely, e to the -200, is not 0.
        value, gradient = of_logits([0.0, -200.0, -200.0], [math.log(0.9)], [0])
        assert value == pytest.approx(
            0.9 * math.log(0.9) + 0.1 * (math.log(0.1) + 200 - math.log(2)), rel=1e-5
        )
        assert gradient == pytest.approx([0.1, -0.05, -0.05], abs=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_student_near_its_teacher_in_float32(backend: str) -> None:
    draw = torch.Generator().manual_seed(1)
    z = 3 * torch.randn(8, 100, generator=draw)
    log_probs, index = (z + 1e-3 * torch.randn(8, 100, generator=draw)).double().log_softmax(-1).topk(20)
    with use_backend(backend):
        mine = linear_kl_topk(z, torch.eye(100), log_probs.float(), index, reduction="none")
    want = definition(z.double(), log_probs.float().double(), index)
    # What float32's rounding of the log-probabilities themselves leaves: 1e-7 of 1e-3, times two.
    torch.testing.assert_close(mine.double(), want, rtol=5e-3, atol=0)


def test_log_probabilities_of_few_digits() -> None:
    h, w, b = student()
    log_probs, index = kept(k=V - 1)
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        mine = linear_kl_topk(h, w, log_probs.to(dtype), index.int(), student_bias=b, reduction="none")
        assert mine.dtype is torch.float64
        want = linear_kl_topk(h, w, log_probs, index, student_bias=b, reduction="none")
        torch.testing.assert_close(mine, want, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_of_a_student_without_a_distribution_nothing_is_known(backend: str, value: float) -> None:
    hidden, weight, bias = (t.detach() for t in student())
    spoilt = hidden.clone()
    spoilt[3, 1] = value
    few, all_of_them = kept(), kept(k=V)

    def check(of: Tensor, slopes: Tensor | None = None) -> None:
        for found in [of] if slopes is None else [of, *slopes.unbind(1)]:
            assert found.isnan().nonzero().flatten().tolist() == [3]

    with use_backend(backend):
        for chunk in (None, 2):
            more: dict[str, Any] = {"student_bias": bias, "reduction": "none", "chunk_tokens": chunk}
            h = spoilt.clone().requires_grad_()
            values = [linear_kl_topk(h, weight, *of, **more) for of in (few, all_of_them)]
            for direction in ("forward", "reverse", "jsd"):
                more["direction"] = direction
                values.append(linear_kl(h, weight, hidden, 2 * weight, **more))
                # A teacher that has none: the student's gradient is not to be had either.
                check(linear_kl(hidden, weight, spoilt, 2 * weight, **more))
            for each in values:
                check(each, torch.autograd.grad(each.sum(), h)[0])
        whole = linear_kl(spoilt.clone().requires_grad_(), weight, hidden, 2 * weight)
        assert whole.isnan()


def test_what_is_left_out_is_not_looked_at() -> None:
    h, w, b = student()
    log_probs, index = kept()
    mask = torch.arange(N) % 3 > 0
    spoilt = log_probs.clone(), index.clone()
    spoilt[0][~mask], spoilt[1][~mask] = torch.nan, -1
    mine = linear_kl_topk(h, w, *spoilt, student_bias=b, sample_weight=mask)
    want = linear_kl_topk(h[mask], w, log_probs[mask], index[mask], student_bias=b)
    torch.testing.assert_close(mine, want)
    for got, other in zip(
        torch.autograd.grad(mine, (h, w, b)), torch.autograd.grad(want, (h, w, b)), strict=True
    ):
        torch.testing.assert_close(got, other)


def test_leading_dimensions_the_compiler_and_transforms() -> None:
    h, w, b = (t.detach() for t in student(8))
    log_probs, index = kept(8)
    deep = (log_probs.view(2, 4, K), index.view(2, 4, K))

    def loss(x: Tensor) -> Tensor:
        each = linear_kl_topk(x.view(2, 4, D), w, *deep, student_bias=b, reduction="none")
        return linear_kl_topk(x, w, log_probs, index, student_bias=b) + each.square().sum()

    torch._dynamo.reset()
    x = h.clone().requires_grad_()
    value = torch.compile(loss, fullgraph=True, backend="aot_eager")(x)
    (gradient,) = torch.autograd.grad(value, x)
    torch.testing.assert_close(value, loss(h))
    torch.testing.assert_close(gradient, torch.func.grad(loss)(h))
    one = linear_kl_topk(h[0], w, log_probs[0], index[0], student_bias=b, reduction="none")
    torch.testing.assert_close(one, linear_kl_topk(h[:1], w, log_probs[:1], index[:1], student_bias=b))


def test_the_teacher_is_a_constant() -> None:
    h, w, _ = student()
    log_probs, index = kept()
    with pytest.raises(RuntimeError, match="teacher_log_probs requires a gradient"):
        linear_kl_topk(h, w, log_probs.requires_grad_(), index)


def changed(tensor: Tensor, at: tuple[int, int], value: float) -> Tensor:
    tensor = tensor.clone()
    tensor[at] = value
    return tensor


LOG_PROBS, INDEX = kept()
WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"teacher_index": changed(INDEX, (2, 1), V)}, IndexError, r"token \[2\] is \[.*11.*expected 0 to 10"),
    ({"teacher_index": changed(INDEX, (2, 1), -1)}, IndexError, r"token \[2\]"),
    (
        {"teacher_index": changed(INDEX, (3, 1), int(INDEX[3, 0]))},
        DomainError,
        r"token \[3\] has a class twice",
    ),
    ({"teacher_log_probs": LOG_PROBS + 5}, DomainError, r"token \[0\] .* sum to"),
    ({"teacher_log_probs": changed(LOG_PROBS, (4, 0), torch.nan)}, DomainError, r"token \[4\]"),
    ({"teacher_log_probs": LOG_PROBS[:, :2]}, ShapeError, r"\[9, 2\] and teacher_index \[9, 4\]"),
    ({"teacher_log_probs": LOG_PROBS[:2], "teacher_index": INDEX[:2]}, ShapeError, "the same tokens: 9"),
    ({"teacher_log_probs": LOG_PROBS[:, :0], "teacher_index": INDEX[:, :0]}, ShapeError, "k from 1 to"),
    (
        {"teacher_log_probs": LOG_PROBS.repeat(1, 3), "teacher_index": INDEX.repeat(1, 3)},
        ShapeError,
        "k from 1 to the 11 classes",
    ),
    ({"teacher_index": LOG_PROBS}, DTypeError, "teacher_index torch.float64"),
    ({"teacher_log_probs": INDEX}, DTypeError, "teacher_log_probs is torch.int64"),
    ({"teacher_log_probs": None}, TypeError, "teacher_log_probs is None"),
    ({"temperature": float("inf")}, OptionError, "temperature is inf"),
    ({"student_softcap": 0.0}, OptionError, "softcap"),
    ({"student_weight": torch.zeros(V, D + 1).double()}, ShapeError, "5 wide and the head takes 6"),
    ({"sample_weight": torch.ones(N + 1)}, ShapeError, "LH603"),
]


@pytest.mark.parametrize(("wrong", "error", "words"), WRONG)
def test_bad_input_is_named(wrong: dict[str, Any], error: type[Exception], words: str) -> None:
    names = ("student_hidden", "student_weight", "student_bias", "teacher_log_probs", "teacher_index")
    with pytest.raises(error, match=words):
        linear_kl_topk(**(dict(zip(names, (*student(), *kept()), strict=True)) | wrong))


def test_a_token_is_named_by_where_it_stands() -> None:
    h, w, _ = student(8)
    log_probs, index = kept(8)
    index[6, 2] = V + 3
    with pytest.raises(IndexError, match=r"token \[1, 2\]"):
        linear_kl_topk(h.view(2, 4, D), w, log_probs.view(2, 4, K), index.view(2, 4, K))
