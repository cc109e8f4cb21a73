"""The next-token loss: the oracle's values from the definition, no copy, and every wrong shape named."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from likelihead.errors import DTypeError, MisuseError, OptionError, ShapeError
from likelihead.functional import cross_entropy, language_model_loss
from likelihead.guard.switch import guard
from oracles.exact import categorical_nll
from served_here import FUSED

MODULE = sys.modules["likelihead.functional.language_model_loss"]
V = 5


def batch(b: int = 2, t: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(b, t, V, generator=draw, dtype=torch.float64)
    return logits, torch.randint(V, (b, t), generator=draw)


def by_hand(logits: Tensor, tokens: Tensor, shift: bool, ignore: int, **options: Any) -> list[list[Any]]:
    """The NLL of each position in 60 digits; None where it does not count."""
    rows = []
    for row, target in zip(logits.tolist(), tokens.tolist(), strict=True):
        after = [*target[1:], None] if shift else target
        rows.append(
            [
                None if y is None or y == ignore else categorical_nll(z, y, **options)[0]
                for z, y in zip(row, after, strict=True)
            ]
        )
    return rows


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3), st.integers(2, 5), st.booleans(), st.sampled_from([-100, 0, V - 1]), st.integers(0, 99)
)
def test_the_definition(b: int, t: int, shift: bool, ignore: int, seed: int) -> None:
    logits, tokens = batch(b, t, seed)
    options = {"label_smoothing": 0.1, "z_loss": 0.01, "softcap": 7.0}
    want = by_hand(logits, tokens, shift, ignore, **options)
    every = [v for row in want for v in row if v is not None]
    got = language_model_loss(logits, tokens, shift=shift, ignore_index=ignore, reduction="none", **options)
    flat = torch.tensor([[0.0 if v is None else float(v) for v in row] for row in want], dtype=torch.float64)
    torch.testing.assert_close(got, flat, rtol=1e-12, atol=1e-12)
    total = language_model_loss(logits, tokens, shift=shift, ignore_index=ignore, reduction="sum", **options)
    assert float(total) == pytest.approx(float(sum(every)), rel=1e-12)
    mean = language_model_loss(logits, tokens, shift=shift, ignore_index=ignore, **options)
    if every:
        assert float(mean) == pytest.approx(float(sum(every)) / len(every), rel=1e-12)
    else:
        assert bool(mean.isnan())


def test_shifting_is_what_one_would_do_by_hand() -> None:
    logits, tokens = batch()
    logits.requires_grad_()
    ours = language_model_loss(logits, tokens, shift=True)
    theirs = cross_entropy(logits[:, :-1].reshape(-1, V), tokens[:, 1:].reshape(-1))
    torch.testing.assert_close(ours, theirs)
    (mine,) = torch.autograd.grad(ours, logits)
    (hers,) = torch.autograd.grad(theirs, logits)
    torch.testing.assert_close(mine, hers)
    assert not bool(mine[:, -1].any())
    # The other meaning of the same arguments is another number.
    other = language_model_loss(logits.detach(), tokens, shift=False)
    assert float(other) != pytest.approx(float(ours.detach()), rel=1e-3)


def test_shift_has_no_default() -> None:
    with pytest.raises(TypeError, match="shift"):
        language_model_loss(*batch())  # type: ignore[call-arg]


@pytest.mark.parametrize("shift", [True, False])
def test_more_padding_changes_nothing(shift: bool) -> None:
    logits, tokens = batch()
    tokens[1, 2:] = -100
    noise = torch.full((2, 4, V), 1e4, dtype=torch.float64)
    long_logits = torch.cat([logits, noise], 1)
    long_tokens = torch.cat([tokens, torch.full((2, 4), -100)], 1)
    short = language_model_loss(logits, tokens, shift=shift)
    assert float(language_model_loss(long_logits, long_tokens, shift=shift)) == pytest.approx(
        float(short), rel=1e-12
    )


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_narrow_token_ids_keep_the_end_of_a_row_apart(dtype: torch.dtype) -> None:
    # -100 is 156 in uint8, which is a token of a vocabulary of 200.
    logits, tokens = torch.zeros(1, 3, 200), torch.tensor([[1, 2, 100]])
    want = language_model_loss(logits, tokens, shift=True)
    assert language_model_loss(logits, tokens.to(dtype), shift=True) == want


def seen(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What cross_entropy is given."""
    calls: list[Tensor] = []

    def spy(input: Tensor, target: Tensor, *args: Any, **options: Any) -> Tensor:
        calls.append(input)
        return cross_entropy(input, target, *args, **options)

    monkeypatch.setattr(MODULE, "cross_entropy", spy)
    return calls


@pytest.mark.parametrize("shift", [True, False])
def test_the_logits_are_not_copied(monkeypatch: pytest.MonkeyPatch, shift: bool) -> None:
    calls = seen(monkeypatch)
    logits, tokens = batch()
    first = language_model_loss(logits, tokens, shift=shift, reduction="none")
    time_first = logits.transpose(0, 1).contiguous().transpose(0, 1)
    second = language_model_loss(time_first, tokens, shift=shift, reduction="none")
    torch.testing.assert_close(first, second)
    assert [call.data_ptr() for call in calls] == [logits.data_ptr(), time_first.data_ptr()]
    assert all(call.shape == (8, V) and call.is_contiguous() for call in calls)
    sliced = torch.cat([logits, logits], 1)[:, :4]
    torch.testing.assert_close(language_model_loss(sliced, tokens, shift=shift, reduction="none"), first)
    assert calls[-1].data_ptr() != sliced.data_ptr()  # the spy can tell


def test_any_number_of_leading_dimensions() -> None:
    logits, tokens = batch()
    want = language_model_loss(logits, tokens, shift=True, reduction="none")
    deep = language_model_loss(logits[:, None], tokens[:, None], shift=True, reduction="none")
    torch.testing.assert_close(deep, want[:, None])
    one = language_model_loss(logits[0], tokens[0], shift=True, reduction="none")
    torch.testing.assert_close(one, want[0])


@pytest.mark.skipif(not FUSED, reason="needs the kernels")
def test_the_gradient_over_the_logits() -> None:
    logits, tokens = batch()
    leaf = logits.clone().requires_grad_()
    language_model_loss(leaf, tokens, shift=True).backward()
    head = logits.clone().requires_grad_()
    written = head * 1.0
    language_model_loss(written, tokens, shift=True, inplace_backward=True).backward()
    torch.testing.assert_close(head.grad, leaf.grad)
    with pytest.raises(RuntimeError, match="inplace_backward"):
        written.argmax(-1)
    with pytest.raises(OptionError, match="contiguous"):
        language_model_loss((head * 1.0)[:, :3], tokens[:, :3], shift=True, inplace_backward=True)


def test_under_the_compiler_and_transforms() -> None:
    logits, tokens = batch()

    def loss(x: Tensor) -> Tensor:
        return language_model_loss(x, tokens, shift=True)

    torch._dynamo.reset()
    x = logits.clone().requires_grad_()
    value = torch.compile(loss, fullgraph=True, backend="aot_eager")(x)
    (gradient,) = torch.autograd.grad(value, x)
    torch.testing.assert_close(value, loss(logits))
    torch.testing.assert_close(gradient, torch.func.grad(loss)(logits))


WRONG = [
    ((2, V, 4), (2, 4), False, "LH301"),
    ((2, 4, V), (2, 3), True, "shifted already"),
    ((2, 4, V), (2, 3), False, "shift=True"),
    ((2, 6, V), (2, 7), True, "all but"),
    ((2, 4, V), (8,), True, "one token id for each"),
    ((V,), (), False, r"\[B, T, V\]"),
]


@pytest.mark.parametrize(("shape", "target", "shift", "words"), WRONG)
def test_a_shape_that_does_not_fit(
    shape: tuple[int, ...], target: tuple[int, ...], shift: bool, words: str
) -> None:
    with pytest.raises(ShapeError, match=words):
        language_model_loss(torch.zeros(shape), torch.zeros(target, dtype=torch.long), shift=shift)


def test_targets_that_are_no_token_ids() -> None:
    for target in (torch.zeros(2, 4), torch.zeros(2, 4, dtype=torch.bool)):
        with pytest.raises(DTypeError, match="LH202"):
            language_model_loss(torch.zeros(2, 4, V), target, shift=False)
    with pytest.raises(DTypeError, match="logits"):
        language_model_loss(torch.zeros(2, 4, V, dtype=torch.long), torch.zeros(2, 4).long(), shift=False)


@pytest.mark.parametrize("shift", [True, False])
def test_an_id_out_of_range_is_found_where_it_stands(shift: bool) -> None:
    logits, tokens = batch()
    tokens[1, 2] = V
    tokens[0, 0] = V if shift else 0  # never a target of its own row, where the loss shifts
    with pytest.raises(IndexError, match=r"target\[1, 2\] is 5.*LH203"):
        language_model_loss(logits, tokens, shift=shift)


def test_the_guard_looks_through() -> None:
    logits, tokens = batch()
    probs = logits.requires_grad_().softmax(-1)
    with guard(action="raise"), pytest.raises(MisuseError, match="LH101"):
        language_model_loss(probs, tokens, shift=True)
