"""Log-probabilities and entropy of a linear head: what torch computes from the logits, which are not made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import linear

from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.functional import TokenLogProbs, linear_log_probs
from likelihead.kernels.dispatch import use_backend
from served_here import AUTO_AND_OTHERS, AVAILABLE

N, D, V = 13, 6, 11


def head(n: int = N, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    """Hidden states, weight, bias and targets, of which two are ignored."""
    draw = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n, D, generator=draw, dtype=torch.float64).to(dtype).requires_grad_()
    weight = torch.randn(V, D, generator=draw, dtype=torch.float64).to(dtype).requires_grad_()
    bias = torch.randn(V, generator=draw, dtype=torch.float64).to(dtype).requires_grad_()
    target = torch.randint(V, (n,), generator=draw)
    target[1::7] = -100
    return hidden, weight, bias, target


def by_logits(
    hidden: Tensor,
    weight: Tensor,
    target: Tensor,
    *,
    bias: Tensor | None = None,
    temperature: float = 1.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    ignore_index: int = -100,
) -> TokenLogProbs:
    """The same from torch's log_softmax."""
    z = linear(hidden, weight, bias) * logit_scale
    if softcap is not None:
        z = softcap * torch.tanh(z / softcap)
    z = z / temperature
    kept = target != ignore_index
    log_p = z.log_softmax(-1)
    chosen = log_p.gather(-1, torch.where(kept, target, 0)[..., None])[..., 0]
    finite = torch.where(log_p.exp() == 0, 0, log_p)
    values = (chosen, -(log_p.exp() * finite).sum(-1), z.logsumexp(-1))
    return TokenLogProbs(*(torch.where(kept, value, 0) for value in values))


def mixed(found: TokenLogProbs, seed: int = 1) -> Tensor:
    """One number from all three, so that each token's values have upstream gradients of their own."""
    draw = torch.Generator().manual_seed(seed)
    assert found.entropy is not None
    up = (torch.randn(v.shape, generator=draw, dtype=torch.float64) for v in found)
    return sum((v * u).sum() for v, u in zip(found, up, strict=True))  # type: ignore[return-value, union-attr]


OPTIONS = {
    "plain": {},
    "temperature": {"temperature": 0.7},
    "cap": {"temperature": 2.5, "softcap": 3.0, "logit_scale": 1.5},
    "ignored": {"ignore_index": 3},
}


@pytest.mark.parametrize("backend", AVAILABLE)
@pytest.mark.parametrize("chunk", [1, 5, None])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_the_logits_route(backend: str, chunk: int | None, options: dict[str, Any]) -> None:
    hidden, weight, bias, target = head()
    target[target == -100] = options.get("ignore_index", -100)
    with use_backend(backend):
        ours = linear_log_probs(hidden, weight, target, bias=bias, chunk_tokens=chunk, **options)
        found = torch.autograd.grad(mixed(ours), (hidden, weight, bias))
    theirs = by_logits(hidden, weight, target, bias=bias, **options)
    wanted = torch.autograd.grad(mixed(theirs), (hidden, weight, bias))
    for got, want in zip((*ours, *found), (*theirs, *wanted), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-11)
    assert not bool(ours.log_probs[target == options.get("ignore_index", -100)].any())


@pytest.mark.parametrize("which", range(3))
def test_each_value_alone(which: int) -> None:
    hidden, weight, bias, target = head()

    def gradient(found: TokenLogProbs) -> tuple[Tensor, ...]:
        value = found[which]
        assert value is not None
        return torch.autograd.grad((value * torch.arange(1.0, N + 1)).sum(), (hidden, weight, bias))

    ours = gradient(linear_log_probs(hidden, weight, target, bias=bias, temperature=0.8, chunk_tokens=4))
    theirs = gradient(by_logits(hidden, weight, target, bias=bias, temperature=0.8))
    for got, want in zip(ours, theirs, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("backend", AUTO_AND_OTHERS)
def test_derivatives_of_derivatives(backend: str) -> None:
    hidden, weight, bias, target = head(4)

    def values(h: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        found = linear_log_probs(h, w, target, bias=b, temperature=1.3, softcap=4.0, chunk_tokens=3)
        assert found.entropy is not None
        return found.log_probs, found.entropy, found.lse

    with use_backend(backend):
        assert torch.autograd.gradcheck(values, (hidden, weight, bias), check_forward_ad=True, fast_mode=True)
        assert torch.autograd.gradgradcheck(values, (hidden, weight, bias), fast_mode=True)


@settings(max_examples=40)
@given(
    st.integers(0, 9),
    st.integers(1, 10),
    st.floats(0.05, 20),
    st.none() | st.floats(0.5, 50),
    st.booleans(),
    st.integers(0, 999),
)
def test_any_combination(
    n: int, chunk: int, temperature: float, softcap: float | None, biased: bool, seed: int
) -> None:
    hidden, weight, some, target = head(n, seed=seed)
    bias = some if biased else None
    ours = linear_log_probs(
        hidden, weight, target, bias=bias, temperature=temperature, softcap=softcap, chunk_tokens=chunk
    )
    theirs = by_logits(hidden, weight, target, bias=bias, temperature=temperature, softcap=softcap)
    inputs = (hidden, weight, bias) if bias is not None else (hidden, weight)
    found, wanted = (torch.autograd.grad(mixed(values, seed), inputs) for values in (ours, theirs))
    for got, want in zip((*ours, *found), (*theirs, *wanted), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


def test_float32_at_least_and_as_near_as_its_logits() -> None:
    hidden, weight, bias, target = head(64, dtype=torch.bfloat16)
    ours = linear_log_probs(hidden, weight, target, bias=bias, chunk_tokens=16)
    assert [value.dtype for value in ours if value is not None] == [torch.float32] * 3
    exact = by_logits(*(t.detach().double() for t in (hidden, weight)), target, bias=bias.detach().double())
    # What torch loses by its own logits in bfloat16.
    theirs = by_logits(*(t.detach() for t in (hidden, weight)), target, bias=bias.detach())
    for got, other, want in zip(ours, theirs, exact, strict=True):
        assert (got - want).abs().max() <= (other - want).abs().max() + 1e-2
    assert mixed(ours).isfinite()
    grads = torch.autograd.grad(mixed(ours), (hidden, weight, bias))
    assert all(g.dtype is torch.bfloat16 for g in grads)


def test_leading_dimensions_and_the_next_token() -> None:
    hidden, weight, bias, target = head(12)
    tokens = target.view(3, 4).clamp(min=0)
    deep = hidden.view(3, 4, D)
    ours = linear_log_probs(deep, weight, tokens, bias=bias, shift=True)
    assert all(value is not None and value.shape == (3, 4) for value in ours)
    theirs = by_logits(deep[:, :-1], weight, tokens[:, 1:], bias=bias)
    for got, want in zip(ours, theirs, strict=True):
        assert got is not None
        torch.testing.assert_close(got[:, :-1], want)
        assert not bool(got[:, -1].any())
    one = linear_log_probs(hidden[0], weight, tokens[0, 0], bias=bias)
    assert one.log_probs.shape == ()
    torch.testing.assert_close(one.log_probs, by_logits(deep[0, 0], weight, tokens[0, 0], bias=bias)[0])


def test_nearly_certain_tokens_keep_their_digits() -> None:
    # A gap of 20: 1 - p is 2e-9, of which float32's log_softmax keeps nothing.
    found = linear_log_probs(torch.tensor([[20.0]]), torch.tensor([[1.0], [0.0]]), torch.tensor([0]))
    assert found.log_probs.item() == pytest.approx(-2.0611536181902037e-09, rel=1e-5)
    assert found.entropy is not None
    assert found.entropy.item() == pytest.approx(4.328422607e-08, rel=1e-5)


def test_classes_that_cannot_be() -> None:
    hidden, weight, bias, target = head(5)
    target = torch.tensor([0, 1, 2, 3, 4])
    shut = bias.detach().clone()
    shut[[4, 7]] = -torch.inf
    shut.requires_grad_()
    ours = linear_log_probs(hidden, weight, target, bias=shut)
    assert ours.log_probs[4].item() == -torch.inf
    open_ = [k for k in range(V) if k not in (4, 7)]
    theirs = by_logits(hidden[:4], weight[open_], target[:4], bias=bias[open_])
    assert ours.entropy is not None
    torch.testing.assert_close(ours.log_probs[:4], theirs.log_probs)
    torch.testing.assert_close(ours.entropy[:4], theirs.entropy)
    first = (ours.log_probs[:4] + 2 * ours.entropy[:4]).sum()
    second = (theirs.log_probs + 2 * theirs.entropy).sum()  # type: ignore[operator]
    for got, want in zip(
        torch.autograd.grad(first, (hidden, weight)),
        torch.autograd.grad(second, (hidden, weight)),
        strict=True,
    ):
        torch.testing.assert_close(got, want)


def test_an_ignored_token_is_not_looked_at() -> None:
    hidden, weight, bias, target = head()
    spoilt = hidden.detach().clone()
    spoilt[target == -100] = torch.nan
    spoilt.requires_grad_()
    ours, clean = (linear_log_probs(h, weight, target, bias=bias) for h in (spoilt, hidden))
    for got, want in zip(ours, clean, strict=True):
        torch.testing.assert_close(got, want)
    (grad,) = torch.autograd.grad(mixed(ours), spoilt)
    assert not bool(grad[target == -100].any())
    nothing = linear_log_probs(hidden, weight, torch.full((N,), -100), bias=bias)
    assert not any(bool(value.any()) for value in nothing if value is not None)


def test_one_class_and_no_token() -> None:
    hidden, _, _, target = head()
    alone = linear_log_probs(hidden, torch.ones(1, D, dtype=torch.float64), target.clamp(max=0))
    assert not bool(alone.log_probs.any())
    none = linear_log_probs(hidden[:0], torch.ones(1, D, dtype=torch.float64), target[:0])
    assert [value.shape for value in none if value is not None] == [(0,)] * 3


def test_without_the_entropy() -> None:
    hidden, weight, bias, target = head()
    found = linear_log_probs(hidden, weight, target, bias=bias, entropy=False)
    assert found.entropy is None
    torch.testing.assert_close(found.log_probs, by_logits(hidden, weight, target, bias=bias).log_probs)


def test_autocast_takes_the_products_dtype() -> None:
    hidden, weight, bias, target = head(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = linear_log_probs(hidden, weight, target, bias=bias)
    narrow = (t.bfloat16() for t in (hidden, weight, bias))
    h, w, b = narrow
    want = linear_log_probs(h, w, target, bias=b)
    for got, other in zip(cast, want, strict=True):
        torch.testing.assert_close(got, other, rtol=0, atol=0)


def test_under_the_compiler_and_transforms() -> None:
    hidden, weight, bias, target = head()

    def loss(h: Tensor) -> Tensor:
        found = linear_log_probs(h, weight.detach(), target, bias=bias.detach(), temperature=0.9)
        assert found.entropy is not None
        return (found.log_probs * found.entropy + found.lse).sum()

    torch._dynamo.reset()
    value = torch.compile(loss, fullgraph=True, backend="aot_eager")(hidden)
    (gradient,) = torch.autograd.grad(value, hidden)
    torch.testing.assert_close(value, loss(hidden))
    torch.testing.assert_close(gradient, torch.func.grad(loss)(hidden.detach()))


def of_the_page(name: str) -> Any:
    """A function as docs/reinforcement.md has it."""
    text = (Path(__file__).parents[2] / "docs" / "reinforcement.md").read_text(encoding="utf-8")
    (source,) = (
        b for b in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE) if f"def {name}" in b
    )
    namespace: dict[str, Any] = {"torch": torch}
    exec(source, namespace)
    return namespace[name]


def test_the_pages_grpo_is_its_formula() -> None:
    hidden, weight, bias, target = head(24)
    deep, tokens = hidden.view(6, 4, D), target.view(6, 4)
    draw = torch.Generator().manual_seed(5)
    rewards = torch.randn(2, 3, generator=draw, dtype=torch.float64)
    mask = (tokens != -100).double()
    exact = by_logits(deep, weight, tokens, bias=bias)
    old, ref = (
        exact.log_probs.detach() + 0.3 * torch.randn(6, 4, generator=draw, dtype=torch.float64)
        for _ in range(2)
    )
    mine = of_the_page("grpo_loss")(
        linear_log_probs(deep, weight, tokens, bias=bias, chunk_tokens=5), old, ref, rewards, mask,
        clip=0.1, kl_weight=0.2, entropy_weight=0.05,
    )  # fmt: skip
    total, clipped = torch.zeros((), dtype=torch.float64), 0
    assert exact.entropy is not None
    for i in range(6):
        group = rewards[i // 3]
        advantage = (rewards.flatten()[i] - group.mean()) / (group.std() + 1e-4)
        for j in range(4):
            if tokens[i, j] == -100:
                continue
            log_p = exact.log_probs[i, j]
            ratio = torch.exp(log_p - old[i, j])
            bounded = ratio.clamp(0.9, 1.1)
            clipped += bool(bounded * advantage < ratio * advantage)
            kl = torch.exp(ref[i, j] - log_p) - (ref[i, j] - log_p) - 1
            gain = torch.min(ratio * advantage, bounded * advantage)
            total = total - gain + 0.2 * kl - 0.05 * exact.entropy[i, j]
    want = total / mask.sum()
    assert 0 < clipped < 20
    torch.testing.assert_close(mine, want)
    grads = (torch.autograd.grad(loss, (hidden, weight, bias)) for loss in (mine, want))
    for got, other in zip(*grads, strict=True):
        torch.testing.assert_close(got, other)


def test_the_pages_dpo_is_its_formula() -> None:
    hidden, weight, bias, target = head(24)
    draw = torch.Generator().manual_seed(5)
    reference = torch.randn(V, D, generator=draw, dtype=torch.float64)
    halves = [(hidden.view(2, 3, 4, D)[k], target.view(2, 3, 4)[k]) for k in range(2)]
    with torch.no_grad():
        ref = [linear_log_probs(h, reference, y, entropy=False) for h, y in halves]
    policy = [linear_log_probs(h, weight, y, bias=bias, entropy=False, chunk_tokens=5) for h, y in halves]
    mine = of_the_page("dpo_loss")(*policy, *ref, beta=0.3)
    sums = []
    for h, y in halves:
        kept = y != -100
        index = torch.where(kept, y, 0)[..., None]
        difference = linear(h, weight, bias).log_softmax(-1) - linear(h.detach(), reference).log_softmax(-1)
        sums.append((difference.gather(-1, index)[..., 0] * kept).sum(-1))
    want = -torch.sigmoid(0.3 * (sums[0] - sums[1])).log().mean()
    torch.testing.assert_close(mine, want)
    grads = (torch.autograd.grad(loss, (hidden, weight, bias)) for loss in (mine, want))
    for got, other in zip(*grads, strict=True):
        torch.testing.assert_close(got, other)


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"temperature": 0.0}, OptionError, "temperature is 0.0"),
    ({"temperature": -1.0}, OptionError, "temperature"),
    ({"temperature": float("nan")}, OptionError, "temperature is nan"),
    ({"temperature": float("inf")}, OptionError, "temperature is inf"),
    ({"temperature": "hot"}, DTypeError, "temperature"),
    ({"softcap": 0.0}, OptionError, "softcap"),
    ({"chunk_tokens": 0}, OptionError, "chunk_tokens is 0"),
    ({"entropy": 1}, DTypeError, "entropy"),
    ({"ignore_index": 0.5}, DTypeError, "ignore_index"),
    ({"weight": torch.zeros(V, D + 1, dtype=torch.float64)}, ShapeError, "6 wide and the head takes 7"),
    ({"weight": torch.zeros(V, D)}, DTypeError, "same dtype"),
    ({"weight": torch.zeros(2, V, D, dtype=torch.float64), "bias": None}, ShapeError, r"\[V, D\]"),
    ({"bias": torch.zeros(V + 1, dtype=torch.float64)}, ShapeError, r"bias has shape \[12\]"),
    (
        {"target": torch.zeros(N + 1).long()},
        ShapeError,
        r"target has shape \[14\] and hidden \[13, 6\]; expected \[13\], a class index for each .* state\.$",
    ),
    ({"target": torch.zeros(N, V, dtype=torch.float64)}, DTypeError, "LH202"),
    ({"target": [1, 2]}, TypeError, "target"),
    ({"hidden": None}, TypeError, "hidden"),
]


@pytest.mark.parametrize(("wrong", "error", "words"), WRONG)
def test_bad_input_is_named(wrong: dict[str, Any], error: type[Exception], words: str) -> None:
    hidden, weight, bias, target = head()
    given = {"hidden": hidden, "weight": weight, "target": target, "bias": bias} | wrong
    with pytest.raises(error, match=words):
        linear_log_probs(given.pop("hidden"), given.pop("weight"), given.pop("target"), **given)


@pytest.mark.parametrize("shift", [True, False])
def test_a_token_out_of_range_is_found_where_it_stands(shift: bool) -> None:
    hidden, weight, bias, target = head(12)
    tokens = target.view(3, 4).clamp(min=0)
    tokens[1, 2] = V
    with pytest.raises(IndexError, match=r"target\[1, 2\] is 11.*LH203"):
        linear_log_probs(hidden.view(3, 4, D), weight, tokens, bias=bias, shift=shift)
