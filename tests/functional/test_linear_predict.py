"""The likeliest token of a linear head: what argmax says of the logits, which are not made."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.functional import linear_predict
from likelihead.kernels.dispatch import use_backend
from served_here import AVAILABLE

D, V = 6, 131


def _head(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(4)
    return tuple(torch.randn(s, generator=g, dtype=dtype) for s in ((*shape, D), (V, D), (V,)))  # type: ignore[return-value]


@pytest.mark.parametrize("backend", AVAILABLE)
@pytest.mark.parametrize("chunk", [1, 4, None])
@pytest.mark.parametrize("shape", [(), (9,), (3, 5), (0,)])
def test_the_largest_logit(backend: str, chunk: int | None, shape: tuple[int, ...]) -> None:
    hidden, weight, bias = _head(*shape)
    with use_backend(backend):
        for b in (None, bias):
            found = linear_predict(hidden, weight, bias=b, chunk_tokens=chunk)
            assert found.dtype == torch.int64
            assert torch.equal(found, linear(hidden, weight, b).argmax(-1))


@pytest.mark.parametrize("backend", AVAILABLE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_first_of_equal_ones(backend: str, dtype: torch.dtype) -> None:
    # Whole numbers, so that every product is exact.
    hidden = torch.randint(-2, 3, (40, D)).to(dtype)
    weight = torch.randint(-2, 3, (V, D)).to(dtype)
    weight[V // 2 :] = weight[: V - V // 2].flip(0)
    logits = linear(hidden.double(), weight.double())
    top = logits == logits.amax(1, keepdim=True)
    assert (top.sum(1) > 1).any()
    with use_backend(backend):
        assert torch.equal(linear_predict(hidden, weight), top.int().argmax(1))


def test_there_is_no_gradient_and_none_is_kept() -> None:
    hidden, weight, bias = (t.requires_grad_() for t in _head(7))
    found = linear_predict(hidden, weight, bias=bias)
    assert not found.requires_grad


def test_under_the_compiler_and_vmap() -> None:
    hidden, weight, bias = _head(4, 3)

    def call(h: Tensor) -> Tensor:
        return linear_predict(h, weight, bias=bias)

    torch._dynamo.reset()
    expected = linear(hidden, weight, bias).argmax(-1)
    assert torch.equal(torch.compile(call, fullgraph=True, backend="aot_eager")(hidden), expected)
    assert torch.equal(torch.vmap(call)(hidden), expected)


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"weight": torch.zeros(V, D + 1, dtype=torch.float64)}, ShapeError, "6 wide and the head takes 7"),
    ({"weight": torch.zeros(V, D)}, DTypeError, "same dtype"),
    ({"weight": torch.zeros(2, V, D, dtype=torch.float64), "bias": None}, ShapeError, r"\[V, D\]"),
    ({"weight": torch.zeros(0, D, dtype=torch.float64), "bias": None}, ShapeError, "at least one class"),
    ({"bias": torch.zeros(V + 1, dtype=torch.float64)}, ShapeError, r"bias has shape \[132\]"),
    ({"chunk_tokens": 0}, OptionError, "chunk_tokens is 0"),
    ({"hidden": [1.0]}, TypeError, "hidden"),
]


@pytest.mark.parametrize(("wrong", "error", "words"), WRONG)
def test_bad_input_is_named(wrong: dict[str, Any], error: type[Exception], words: str) -> None:
    hidden, weight, bias = _head(5)
    given = {"hidden": hidden, "weight": weight, "bias": bias} | wrong
    with pytest.raises(error, match=words):
        linear_predict(given.pop("hidden"), given.pop("weight"), **given)
