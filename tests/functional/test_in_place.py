"""``inplace_backward=True``: the gradient is right, and nobody reads gradients for logits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from likelihead import functional as F
from likelihead.core.overwritten import Overwritten
from likelihead.errors import OptionError
from likelihead.kernels.dispatch import use_backend
from likelihead.nn import CrossEntropyLoss
from served_here import AUTO_AND_OTHERS, FUSED

needs_kernels = pytest.mark.skipif(not FUSED, reason="needs the kernels")
TARGET = torch.tensor([0, 1, 2, 3, 4, -100])


def _leaf(dtype: torch.dtype = torch.float32) -> Tensor:
    g = torch.Generator().manual_seed(3)
    return torch.randn(6, 5, generator=g, dtype=dtype).requires_grad_()


def _expected(x: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    """Loss and gradient in float64, by torch."""
    z = x.detach().double().requires_grad_()
    loss = torch.nn.functional.cross_entropy(z, TARGET, **options)
    return loss.detach(), torch.autograd.grad(loss, z)[0]


# What a model may end in: how it computes its logits, and whether their memory is theirs alone.
ENDS: dict[str, tuple[Callable[[Tensor], Tensor], bool]] = {
    "an op": (lambda x: x * 1, True),
    "a view of an op": (lambda x: (x * 1).view(30).view(6, 5), True),
    "an op that keeps its output": (lambda x: x.sinh().asinh().tanh().atanh().relu() - (-x).relu(), True),
    "tanh": (lambda x: x.clamp(-3, 3).tanh(), False),
    "exp": (lambda x: x.exp(), False),
    "one of two chunks": (lambda x: torch.cat([x, x * 1]).chunk(2)[0], False),
    "part of a larger tensor": (lambda x: torch.cat([x * 1, x.detach()])[:6], False),
}


@needs_kernels
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("upstream", [1.0, -0.37])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_gradient_is_right_whoever_shares_the_memory(
    end: str, upstream: float, dtype: torch.dtype
) -> None:
    make, _ = ENDS[end]
    x, plain = _leaf(dtype), _leaf(dtype)
    (F.cross_entropy(make(x), TARGET, inplace_backward=True) * upstream).backward()
    (F.cross_entropy(make(plain), TARGET) * upstream).backward()
    rounding = 1e-2 if dtype == torch.bfloat16 else 1e-6
    torch.testing.assert_close(x.grad, plain.grad, rtol=rounding, atol=rounding)


@needs_kernels
@pytest.mark.parametrize("end", ENDS)
def test_the_memory_is_taken_where_it_is_the_logits_alone(end: str) -> None:
    make, alone = ENDS[end]
    z = make(_leaf())
    place, before, places = z.data_ptr(), z.detach().clone(), []
    z.register_hook(lambda gradient: places.append(gradient.data_ptr()))
    loss = F.cross_entropy(z, TARGET, inplace_backward=True)
    loss.backward()
    assert (places == [place]) == alone
    assert (type(z) is Overwritten) == alone
    assert alone or torch.equal(z, before)


READERS: dict[str, Callable[[Tensor], Any]] = {
    "a second loss of ours": lambda z: F.cross_entropy(z, TARGET),
    "a second loss in place": lambda z: F.cross_entropy(z, TARGET, inplace_backward=True),
    "the language model loss": lambda z: F.language_model_loss(z, TARGET, shift=False),
    "a loss of torch's": lambda z: torch.nn.functional.cross_entropy(z, TARGET),
    "binary cross-entropy": lambda z: F.binary_cross_entropy_with_logits(z, z),
    "mean squared error": lambda z: F.mse_loss(z, torch.zeros(6, 5)),
    "a module": lambda z: CrossEntropyLoss()(z, TARGET),
    "accuracy": lambda z: (z.argmax(1) == TARGET).float().mean(),
    "a detached copy": lambda z: z.detach(),
    "data": lambda z: z.data,
    "a row": lambda z: z[0],
    "one number": lambda z: z[0, 0].item(),
    "a sum": torch.sum,
    "a view": lambda z: z.view(-1),
    "zero_": lambda z: z.zero_(),
    "copy_ to another": lambda z: torch.empty(6, 5).copy_(z),
    "out=": lambda z: torch.add(torch.ones(6, 5), 1, out=z),
    "numpy": lambda z: np.asarray(z),
    "a list": lambda z: z.tolist(),
    "a copy": copy.deepcopy,
    "vmap": lambda z: torch.vmap(torch.sum)(z),
    "the compiler": lambda z: torch.compile(torch.sum, backend="eager")(z),
    "the op itself": lambda z: torch.ops.likelihead.softmax_nll(
        z, TARGET, None, 0.0, -100, 0.0, 0.0, None, False
    ),
}


@needs_kernels
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # the compiler asks
def test_a_later_reader_raises(reader: str, backward: bool) -> None:
    x = _leaf()
    z = x * 1
    loss = F.cross_entropy(z, TARGET, inplace_backward=True)
    if backward:
        loss.backward()
    with torch.no_grad(), pytest.raises(RuntimeError, match="inplace"):
        READERS[reader](z)
    if not backward:  # what was refused has harmed nothing
        loss.backward()
    torch.testing.assert_close(x.grad.double(), _expected(x)[1], rtol=1e-6, atol=1e-7)


@needs_kernels
def test_readers_that_ask_nobody_find_nan() -> None:
    z = _leaf() * 1
    F.cross_entropy(z, TARGET, inplace_backward=True)
    with torch._C.DisableTorchFunctionSubclass():
        assert (z + 1).isnan().all()


@needs_kernels
def test_what_the_logits_are_a_view_of_raises_too() -> None:
    whole = _leaf() * 1
    F.cross_entropy(whole.view(6, 5), TARGET, inplace_backward=True)
    with pytest.raises(RuntimeError, match="inplace_backward"):
        whole.argmax(1)
    logits = (torch.randn(2, 3, 5, requires_grad=True) * 1).transpose(0, 1).contiguous().transpose(0, 1)
    F.language_model_loss(logits, TARGET.view(2, 3), shift=False, inplace_backward=True)
    with pytest.raises(RuntimeError, match="inplace_backward"):
        logits.argmax(-1)
    single = torch.randn(5, requires_grad=True) * 1
    F.cross_entropy(single, torch.tensor(1), inplace_backward=True)
    with pytest.raises(RuntimeError, match="inplace_backward"):
        single.argmax()


@needs_kernels
def test_what_was_saved_of_the_logits_raises_in_its_backward() -> None:
    z = _leaf() * 1
    penalty = z.square().sum()
    loss = F.cross_entropy(z, TARGET, inplace_backward=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        (loss + penalty).backward()
    z = _leaf() * 1
    first = F.cross_entropy(z, TARGET)
    second = F.cross_entropy(z, TARGET, inplace_backward=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(first, z, create_graph=True)
    second.backward()


@needs_kernels
def test_who_shares_the_memory_keeps_its_values() -> None:
    x = _leaf()
    z = x * 1
    kept, array, right = z.detach(), z.detach().numpy(), z.detach().clone()
    F.cross_entropy(z, TARGET, inplace_backward=True).backward()
    for values in (z, kept, torch.from_numpy(array)):
        assert torch.equal(values, right)
    torch.testing.assert_close(x.grad.double(), _expected(x)[1], rtol=1e-6, atol=1e-7)


@needs_kernels
def test_the_shape_and_the_graph_stay() -> None:
    x = _leaf()
    z = x * 1
    z.retain_grad()
    loss = F.cross_entropy(z, TARGET, inplace_backward=True)
    assert (z.shape, z.dtype, z.device, z.ndim, len(z)) == (x.shape, x.dtype, x.device, 2, 6)
    assert z.requires_grad
    assert z.grad_fn is not None
    assert "overwritten" in repr(z)
    assert "overwritten" in f"{z}"
    loss.backward()
    assert torch.equal(z.grad, x.grad)


@pytest.mark.parametrize(
    "view", [lambda p: p, lambda p: p.view(6, 5), lambda p: p.flatten().view(6, 5), lambda p: p[:]]
)
@pytest.mark.parametrize("kind", [torch.nn.Parameter, lambda t: t.clone().requires_grad_()])
def test_a_leaf_is_refused_and_stays(view: Callable[[Tensor], Tensor], kind: Callable[..., Tensor]) -> None:
    table = kind(_leaf().detach())
    before = table.detach().clone()
    with pytest.raises((RuntimeError, OptionError)):
        F.cross_entropy(view(table), TARGET, inplace_backward=True)
    with pytest.raises((RuntimeError, OptionError)):
        F.language_model_loss(view(table), TARGET, shift=False, inplace_backward=True)
    assert torch.equal(table, before)


@needs_kernels
def test_a_leaf_in_disguise_stays() -> None:
    table = torch.nn.Parameter(_leaf().detach())
    z = table.detach().mul_(1).add_((table * 0).sum())  # a graph over the leaf's own memory, which is no leaf
    before = table.detach().clone()
    F.cross_entropy(z, TARGET, inplace_backward=True).backward()
    assert torch.equal(table, before)


@needs_kernels
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("upstream", [1.0, 3.0])
def test_a_tensor_as_normalizer(dtype: torch.dtype, upstream: float) -> None:
    x = _leaf(dtype)
    normalizer = torch.tensor(7.0, requires_grad=True)
    loss = F.cross_entropy(x * 1, TARGET, inplace_backward=True, normalizer=normalizer)
    (upstream * loss).backward()
    value, gradient = _expected(x, reduction="sum")
    rounding = 1e-6 if dtype == torch.float32 else 1e-7
    torch.testing.assert_close(loss.double(), value / 7, rtol=rounding, atol=0)
    torch.testing.assert_close(x.grad.double(), upstream * gradient / 7, rtol=rounding, atol=1e-7)
    torch.testing.assert_close(
        normalizer.grad.double(), upstream * -value / 49, rtol=1e-6, atol=0, check_dtype=False
    )


WITHOUT_A_GRADIENT: dict[str, dict[str, Any]] = {
    "mean": {},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "a number as normalizer": {"normalizer": 3},
    "a tensor as normalizer": {"normalizer": torch.tensor(3.0)},
    "weights": {"weight": torch.arange(1.0, 6.0)},
    "smoothing": {"label_smoothing": 0.1},
}


@pytest.mark.parametrize("backend", AUTO_AND_OTHERS)
@pytest.mark.parametrize("case", WITHOUT_A_GRADIENT)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_no_effect_where_no_gradient_is_asked_for(case: str, backend: str, dtype: torch.dtype) -> None:
    options = WITHOUT_A_GRADIENT[case]
    if "weight" in options:
        options = {**options, "weight": options["weight"].to(dtype)}
    leaf, values = _leaf(dtype), _leaf(dtype).detach()

    def loss(z: Tensor, **in_place: bool) -> Tensor:
        return F.cross_entropy(z, TARGET, **options, **in_place)

    with use_backend(backend), torch.no_grad():
        want = loss(values)
        for z in (values, leaf, (leaf * 1), values.t().contiguous().t()):
            assert torch.equal(loss(z, inplace_backward=True), want)
        (batched,) = torch.vmap(lambda z: loss(z, inplace_backward=True))(values[None])
        torch.testing.assert_close(batched, want)
    with use_backend(backend):
        assert torch.equal(loss(values, inplace_backward=True), want)
    assert torch.equal(leaf, values)


def test_no_effect_under_the_compiler_without_a_gradient() -> None:
    torch._dynamo.reset()

    @torch.compile(backend="eager", fullgraph=True)
    def loss(z: Tensor) -> Tensor:
        return F.cross_entropy(z, TARGET, inplace_backward=True)

    x = _leaf().detach()
    torch.testing.assert_close(loss(x).double(), _expected(x)[0], rtol=1e-6, atol=0)
