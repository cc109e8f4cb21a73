"""What a head and its softmax multiply, how exact the sums are, and that the logits are never there."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from likelihead.kernels import dispatch
from likelihead.kernels.fused import linear_scores, linear_softmax_nll, products
from oracles import linear_softmax as oracle

TOKENS, WIDTH, CLASSES, CHUNK = 24, 6, 40, 5


class Products:
    """How many products of all the tokens with the whole head there have been."""

    def __init__(self) -> None:
        self.multiplications = 0

    def counted(self, product: Callable[..., Tensor], last: int) -> Callable[..., Tensor]:
        """``last``: where among the arguments the two factors end."""

        def call(*arguments: Any, **named: Any) -> Tensor:
            result = product(*arguments, **named)
            self.multiplications += result.numel() * arguments[last - 1].shape[1]
            return result

        return call

    def so_far(self) -> float:
        found, self.multiplications = self.multiplications, 0
        return found / (TOKENS * WIDTH * CLASSES)


@pytest.fixture(params=[False, True][: 1 + torch.backends.mkldnn.is_available()])
def counts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Products:
    """The products, by torch's and by oneDNN's."""
    monkeypatch.setattr(products, "_LARGE", 0 if request.param else 1 << 60)
    monkeypatch.setattr(products, "_mkl_is_slow", lambda: True)
    found = Products()
    for module, name, last in ((torch, "mm", 1), (torch, "addmm", 2), (products, "_onednn", 1)):
        monkeypatch.setattr(module, name, found.counted(getattr(module, name), last))
    return found


def _inputs(trained: str = "xwb") -> tuple[Tensor, Tensor, Tensor, Tensor]:
    shapes = {"x": (TOKENS, WIDTH), "w": (CLASSES, WIDTH), "b": (CLASSES,)}
    x, w, b = (torch.randn(shape).requires_grad_(name in trained) for name, shape in shapes.items())
    return x, w, torch.randint(CLASSES, (TOKENS,)), b


def _mean(*inputs: Tensor, **options: Any) -> Tensor:
    return dispatch.linear_softmax_loss(*inputs, chunk_tokens=CHUNK, **options)


def _rows(*inputs: Tensor, **options: Any) -> Tensor:
    nll, _, entropy, *_ = dispatch.linear_softmax_nll(*inputs, entropy=True, chunk_tokens=CHUNK, **options)
    return (nll + 0.1 * entropy).square().sum()


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    ("trained", "gradients"),
    [("xwb", 2), ("xw", 2), ("x", 1), ("xb", 1), ("w", 1), ("wb", 1), ("b", 0), ("", 0)],
)
def test_products(trained: str, gradients: int, counts: Products) -> None:
    for loss, again in ((_mean, False), (_rows, True)):
        value = loss(*_inputs(trained))
        assert counts.so_far() == (1 if again else 1 + gradients)
        if trained:
            value.backward(retain_graph=True)
            assert counts.so_far() == (1 + gradients if again else 0)
            value.backward()  # anew
            assert counts.so_far() == 1 + gradients
        with torch.no_grad():
            loss(*_inputs(trained))
        assert counts.so_far() == 1


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("loss", [_mean, _rows])
def test_what_is_left_out_is_not_multiplied(loss: Callable[..., Tensor], counts: Products) -> None:
    x, w, target, b = _inputs()
    target[TOKENS // 4 :] = -100
    loss(x, w, target, b).backward()
    assert counts.so_far() == (3 if loss is _mean else 4) / 4
    each = torch.zeros(TOKENS)
    each[:6] = 2
    loss(x, w, target, b, sample_weight=each).backward()
    assert counts.so_far() == (3 if loss is _mean else 4) / 4


def _with_body(loss: Callable[..., Tensor], x: Tensor, *others: Tensor) -> Tensor:
    return loss(torch.tanh(x), *others)


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_costs_one_product_more(reentrant: bool, counts: Products) -> None:
    x, w, target, b = _inputs()
    for loss in (_mean, _rows):
        body = checkpoint(torch.tanh, x, use_reentrant=reentrant)
        loss(body, w, target, b).backward()  # of the body alone
        assert counts.so_far() == (3 if loss is _mean else 4)
        checkpoint(partial(_with_body, loss), x, w, target, b, use_reentrant=reentrant).backward()
        assert counts.so_far() == (4 if loss is _mean else 5)


class Largest(TorchDispatchMode):
    """The most elements that a tensor has had which an operator returned, within our ops too."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("likelihead::linear_softmax_nll")
        if name in ("", "_loss", "_backward"):
            with self:
                return getattr(linear_softmax_nll._OP, name or "_values")(*args, **(kwargs or {}))
        result = func(*args, **(kwargs or {}))
        for of in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(of, Tensor):
                self.elements = max(self.elements, of.untyped_storage().nbytes() // of.element_size())
        return result


@pytest.mark.usefixtures("fast", "counts")
@pytest.mark.parametrize("loss", [_mean, _rows])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_logits_never_exist(loss: Callable[..., Tensor], dtype: torch.dtype) -> None:
    x, w, target, b = _inputs()
    x, w, b = (t.detach().to(dtype).requires_grad_() for t in (x, w, b))
    with Largest() as largest:
        loss(x, w, target, b, label_smoothing=0.1, softcap=5.0).backward()
    assert largest.elements == max(CHUNK * CLASSES, CLASSES * WIDTH)
    with Largest() as largest:  # it would be seen
        linear(x, w, b)
    assert largest.elements == TOKENS * CLASSES


def _confident(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """1,000 tokens of each of two kinds, with p = 0.999 of their classes, and logits without a rounding."""
    x = torch.eye(2).repeat(1000, 1)
    w = torch.rand(12, 2) * 0.5
    w[3, 0], w[7, 1] = 9.5, 9.75
    return x.to(dtype), w.to(dtype), torch.tensor([3, 7]).repeat(1000)


def _error(dtype: torch.dtype, chunk: int) -> Tensor:
    """Relative to the sum of the sizes of what is summed."""
    x, w, target = _confident(dtype)
    wide = w.double().requires_grad_()
    of_kind = []
    for kind in (0, 1):
        given = oracle.Given(x.double()[kind : kind + 1], wide, target[kind : kind + 1])
        of_kind.append(torch.autograd.grad(oracle.values(given)[0].sum(), wide)[0])
    p = torch.softmax((x.double() @ wide.T)[:2], 1)[[0, 1], [3, 7]]
    assert ((p > 0.9985) & (p < 0.9995)).all()
    exact = 1000 * (of_kind[0] + of_kind[1])
    head = w.requires_grad_()
    loss = dispatch.linear_softmax_loss(x, head, target, reduction="sum", chunk_tokens=chunk)
    (got,) = torch.autograd.grad(loss, head)
    return ((got.double() - exact).abs() / exact.abs()).max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_thousand_chunks_are_as_exact_as_one(dtype: torch.dtype, fast: str) -> None:
    # Roundings of a gradient by a logit, of a chunk's part, and of the sum; the last two alone are of one
    # chunk. However many chunks there are, they do not add up.
    rounding = {torch.bfloat16: 2**-9, torch.float16: 2**-12}[dtype]
    for chunk in (0, 2 if fast == "native" else 64):
        assert _error(dtype, chunk) <= 3.1 * rounding


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sums_in_16_bits_would_be_found(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch, fast: str
) -> None:
    monkeypatch.setattr(products, "compute_dtype", lambda dtype: dtype)
    rounding = {torch.bfloat16: 2**-9, torch.float16: 2**-12}[dtype]
    assert _error(dtype, 2 if fast == "native" else 64) > 10 * rounding


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_chunks_are_no_worse_than_the_logits(dtype: torch.dtype) -> None:
    x, w = torch.randn(300, 16).to(dtype), (torch.randn(50, 16) * 2).to(dtype)
    target = torch.randint(50, (300,))
    found = []
    for route in ("chunks", "logits", "exact"):
        leaves = [(t.double() if route == "exact" else t.clone()).requires_grad_() for t in (x, w)]
        if route == "exact":
            loss = oracle.values(oracle.Given(*leaves, target))[0].sum()
        elif route == "logits":
            loss = dispatch.softmax_loss(linear(*leaves), target, reduction="sum")
        else:
            loss = dispatch.linear_softmax_loss(*leaves, target, reduction="sum", chunk_tokens=20)
        found.append([loss.detach().double(), *(g.double() for g in torch.autograd.grad(loss, leaves))])
    for got, peer, exact in zip(*found, strict=True):
        ulp = {torch.float32: 2**-23, torch.bfloat16: 2**-8}[dtype] * exact.abs().max()
        assert (got - exact).abs().max() <= 1.5 * (peer - exact).abs().max() + ulp


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("margin", [0.0, 5.0, 21.0, 60.0])
@pytest.mark.parametrize("classes", [7, 130])
def test_entropies_of_confident_tokens_keep_their_digits(margin: float, classes: int) -> None:
    logits = torch.randn(5, classes)
    logits[:, 2] = logits.max() + margin
    x = logits.clone().requires_grad_()
    _, _, entropy, *_ = dispatch.linear_softmax_nll(
        x, torch.eye(classes), torch.arange(5), entropy=True, chunk_tokens=2
    )
    (slopes,) = torch.autograd.grad(entropy.sum(), x)
    for row, value, slope in zip(logits.tolist(), entropy.tolist(), slopes.double(), strict=True):
        exact, true = oracle.entropy(row)
        assert value == pytest.approx(exact, rel=1e-6)
        assert margin != 21 or 1e-10 < exact < 1e-7
        torch.testing.assert_close(
            slope, torch.tensor(true, dtype=torch.float64), rtol=3e-6, atol=1e-7 * exact
        )


@pytest.mark.parametrize("classes", [1, 63, 64, 65, 300])
def test_the_largest_and_its_place(classes: int) -> None:
    z = torch.randn(50, classes)
    z[0], z[1, -1], z[2, classes // 2] = 3, 9, math.nan
    top, place = linear_scores._largest(z)
    expected, _ = z.max(1, keepdim=True)
    torch.testing.assert_close(top, expected, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(z.gather(1, place), expected, rtol=0, atol=0, equal_nan=True)
    assert place[0] == 0  # the first of several


def test_the_order_of_the_options() -> None:
    from likelihead.kernels.ops import SoftmaxOptions

    names = list(SoftmaxOptions.__annotations__)
    assert [names[place] for place in linear_scores._PER_TOKEN] == ["where", "sample_weight"]
    assert names[2] == "ignore_index"
