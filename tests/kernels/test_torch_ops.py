"""The fused kernels as custom ops of torch: its own checks, compiler, exporter, batching and determinism."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from likelihead.errors import OptionError
from likelihead.kernels import dispatch

pytestmark = pytest.mark.usefixtures("fused")
X, TARGET, LABELS, W = (
    torch.randn(5, 7, generator=torch.Generator().manual_seed(1)),
    torch.tensor([0, 6, -100, 3, 1]),
    torch.rand(5, 7, generator=torch.Generator().manual_seed(2)),
    torch.linspace(0.5, 2, 7),
)


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


def _classes(x: Tensor) -> Tensor:
    return dispatch.softmax_loss(x, TARGET, weight=W, label_smoothing=0.1, z_loss=0.01)


def _rows(x: Tensor) -> Tensor:
    nll, lse = dispatch.softmax_nll(x, TARGET, focal_gamma=2.0, logit_offset=W)
    return nll.sum() + lse[0]


def _labels(x: Tensor) -> Tensor:
    return dispatch.sigmoid_loss(x, LABELS, pos_weight=W, focal_gamma=1.5)


LOSSES = pytest.mark.parametrize("loss", [_classes, _rows, _labels])


def _gradient(loss: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    leaf = x.detach().clone().requires_grad_()
    value = loss(leaf)
    return value.detach(), torch.autograd.grad(value * 0.5, leaf)[0]


@LOSSES
def test_one_graph_under_the_compiler(loss: Callable[[Tensor], Tensor]) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for got, expected in zip(_gradient(compiled, X), _gradient(loss, X), strict=True):
        torch.testing.assert_close(got, expected)


@LOSSES
def test_one_graph_for_any_number_of_rows(loss: Callable[[Tensor], Tensor]) -> None:
    torch._dynamo.reset()

    def of(x: Tensor, target: Tensor) -> Tensor:
        return dispatch.softmax_loss(x, target) + dispatch.sigmoid_loss(x, x.detach().sigmoid())

    compiled = torch.compile(of, fullgraph=True, backend="aot_eager", dynamic=True)
    for rows in (5, 3, 8):
        x, target = torch.randn(rows, 7), torch.arange(rows) % 7
        torch.testing.assert_close(compiled(x, target), of(x, target))


@LOSSES
def test_it_is_exported(loss: Callable[[Tensor], Tensor]) -> None:
    class Model(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return loss(x)

    exported = torch.export.export(Model(), (X,)).module()
    torch.testing.assert_close(exported(X), loss(X))


@LOSSES
def test_batches_and_transforms(loss: Callable[[Tensor], Tensor]) -> None:
    two = torch.stack([X, X.flip(0) * 3])
    torch.testing.assert_close(torch.vmap(loss)(two), torch.stack([loss(x) for x in two]))
    value, slope = _gradient(loss, X)
    torch.testing.assert_close(torch.func.grad(loss)(X) * 0.5, slope)
    torch.testing.assert_close(torch.func.grad_and_value(loss)(X)[1], value)
    _, tangent = torch.func.jvp(loss, (X,), (torch.ones_like(X),))
    torch.testing.assert_close(tangent * 0.5, slope.sum())


def test_the_ops_are_batched_over_any_argument() -> None:
    options = (0.1, -100, 0.0, 0.0, None, False, None, 0.0, None)
    two = torch.stack([X, -X])
    for dims, given in [
        ((0, None, None), (two, TARGET, W)),
        ((None, 0, None), (X, torch.stack([TARGET, TARGET.flip(0)]), W)),
        ((None, None, 1), (X, TARGET, torch.stack([W, W.flip(0)], 1))),
    ]:
        got, _ = torch.vmap(lambda x, t, w: torch.ops.likelihead.softmax_nll(x, t, w, *options), dims)(*given)
        for i in range(2):
            one = [a if d is None else a.select(d, i) for a, d in zip(given, dims, strict=True)]
            torch.testing.assert_close(got[i], torch.ops.likelihead.softmax_nll(*one, *options)[0])


def _loss(x: Tensor, target: Tensor, **options: object) -> Tensor:
    return dispatch.softmax_loss(x, target, **options)


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


def test_deterministic_mode_never_raises() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        x = torch.randn(8, 10, requires_grad=True)
        assert torch.equal(*[torch.autograd.grad(_loss(x, torch.arange(8)), x)[0] for _ in range(2)])
    finally:
        torch.use_deterministic_algorithms(False)


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


@pytest.mark.parametrize("loss", [_classes, _rows, _labels])
def test_deterministic_mode_fills_nothing_in(loss: Callable[[Tensor], Tensor]) -> None:
    # torch fills what is allocated without values with NaN then: an element that is left out would show.
    expected = _gradient(loss, X)
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(3).isnan().all()
        for got, want in zip(_gradient(loss, X), expected, strict=True):
            assert torch.equal(got, want)
    finally:
        torch.use_deterministic_algorithms(False)
