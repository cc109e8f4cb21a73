"""The short way of losses without options: the general way's numbers, bit for bit, and its rules."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from likelihead.errors import LikelihoodError
from likelihead.functional import binary_cross_entropy_with_logits, cross_entropy
from likelihead.guard.switch import guard
from likelihead.kernels import dispatch
from likelihead.kernels.dispatch import backends, use_backend
from likelihead.nn import BCEWithLogitsLoss

NATIVE = {b.name: b for b in backends()}["native"]
pytestmark = pytest.mark.skipif(not NATIVE.available, reason=f"native is absent: {NATIVE.reason}")

Loss = Callable[..., Tensor]
CROSS_ENTROPY = (
    cross_entropy,
    lambda dtype: torch.randn(6, 4, dtype=dtype),
    lambda dtype: torch.arange(6) % 4,
)
BINARY = (
    binary_cross_entropy_with_logits,
    lambda dtype: torch.randn(6, 1, dtype=dtype),
    lambda dtype: torch.rand(6, 1, dtype=dtype).round(),
)
LOSSES = pytest.mark.parametrize(("loss", "logits", "labels"), [CROSS_ENTROPY, BINARY], ids=["ce", "bce"])
WIDE = [torch.float32, torch.float64]


class Subclass(torch.Tensor):
    pass


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The calls that went the short way."""
    taken: list[str] = []
    ask = dispatch.plain

    def watched(op: str, on_cpu: bool) -> Callable[..., Tensor | None] | None:
        found = ask(op, on_cpu)
        if found is None:
            return None

        def call(*arguments: Any) -> Tensor | None:
            result = found(*arguments)
            if result is not None:
                taken.append(op)
            return result

        return call

    monkeypatch.setattr(dispatch, "plain", watched)
    return taken


def _the_general_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "plain", lambda op, on_cpu: None)


def _value_and_gradient(loss: Loss, logits: Tensor, target: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    leaf = logits.clone().requires_grad_()
    value = loss(leaf, target, **options)
    (value * 0.75).backward()
    assert leaf.grad is not None
    return value.detach(), leaf.grad


@LOSSES
@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("rows", [1, 3, 17, 500])
@pytest.mark.parametrize("columns", [1, 2, 10, 31, 120])
def test_the_bits_of_the_general_way(
    loss: Loss, logits: Any, labels: Any, dtype: torch.dtype, reduction: str, rows: int, columns: int,
    short: list[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    x = torch.randn(rows, columns, dtype=dtype) * 20
    if loss is cross_entropy:
        x = torch.cat([x, x.flip(0)], 1)
        target = torch.randint(x.shape[1], (rows,))
        target[rows // 2 + 1 :: 3] = -100
    else:
        target = torch.rand(x.shape, dtype=dtype)
    x[0, 0] = 1e4
    taken = _value_and_gradient(loss, x, target, reduction=reduction)
    with torch.no_grad():
        assert torch.equal(loss(x, target, reduction=reduction), taken[0])
    assert len(short) == 2
    _the_general_way(monkeypatch)
    for ours, expected in zip(taken, _value_and_gradient(loss, x, target, reduction=reduction), strict=True):
        assert torch.equal(ours, expected)


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shape", [(5,), (3, 1), (700, 7), (200, 1000), (4, 3, 600)])
@pytest.mark.parametrize("weigh", [lambda n: torch.tensor(3.0), lambda n: torch.rand(1), torch.rand])
@pytest.mark.parametrize("hard", [True, False])
def test_a_pos_weight_has_the_bits_of_the_general_way(
    dtype: torch.dtype, reduction: str, shape: tuple[int, ...], weigh: Callable[[int], Tensor], hard: bool,
    short: list[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    x, target = torch.randn(shape, dtype=dtype) * 5, torch.rand(shape, dtype=dtype)
    target = target.round() if hard else target
    loss, options = binary_cross_entropy_with_logits, {"reduction": reduction}
    pos_weight = weigh(shape[-1]).to(dtype)
    module = BCEWithLogitsLoss(pos_weight=pos_weight)
    taken = _value_and_gradient(loss, x, target, pos_weight=pos_weight, **options)
    with torch.no_grad():
        assert torch.equal(loss(x, target, pos_weight=pos_weight, **options), taken[0])
    assert torch.equal(loss(x, target, None, None, None, reduction, pos_weight), taken[0])
    assert reduction == "sum" or torch.equal(module(x, target), taken[0])
    assert len(short) == (3 if reduction == "sum" else 4)
    _the_general_way(monkeypatch)
    expected = _value_and_gradient(loss, x, target, pos_weight=pos_weight, **options)
    assert all(map(torch.equal, taken, expected))


def test_derivatives_with_a_pos_weight(short: list[str]) -> None:
    x, target = torch.randn(6, 4, dtype=torch.float64, requires_grad=True), torch.rand(6, 4).double().round()
    pos_weight = torch.rand(4).double() + 0.5

    def loss(x: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(x, target, pos_weight=pos_weight, reduction="sum")

    assert torch.autograd.gradcheck(loss, x)
    assert torch.autograd.gradgradcheck(loss, x)
    value = loss(x)
    first, second = (torch.autograd.grad(value, x, retain_graph=True)[0] for _ in range(2))
    assert torch.allclose(first, second, rtol=1e-14, atol=0)
    value.backward()
    pos_weight.add_(1)
    value = loss(x)
    torch.autograd.grad(value, x, retain_graph=True)
    pos_weight.add_(1)  # what is made anew would be another's
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(value, x)
    assert short


@pytest.mark.parametrize(
    "pos_weight",
    [
        torch.rand(6, 4),
        torch.rand(1, 4),
        torch.rand(6, 1),
        torch.rand(4).double(),
        torch.rand(4).half(),
        torch.rand(4).as_subclass(Subclass),
        torch.rand(4, requires_grad=True),
    ],
)
def test_other_pos_weights_go_the_general_way(pos_weight: Tensor, short: list[str]) -> None:
    x, target = torch.randn(6, 4), torch.rand(6, 4)
    with guard("off"), torch.no_grad():
        loss = binary_cross_entropy_with_logits(x, target, pos_weight=pos_weight)
        expected = torch.nn.functional.binary_cross_entropy_with_logits(x, target, pos_weight=pos_weight)
    assert torch.allclose(loss, expected.to(loss.dtype), rtol=1e-3)
    assert short == []


def test_pos_weights_that_do_not_fit_are_refused(short: list[str]) -> None:
    x, target = torch.randn(6, 4), torch.rand(6, 4)
    for wrong in (torch.rand(3), torch.rand(6), torch.rand(0), torch.rand(1, 1, 4)):
        with pytest.raises((RuntimeError, ValueError), match=r"size|dimension|broadcast"):
            binary_cross_entropy_with_logits(x, target, pos_weight=wrong)
    with pytest.raises(RuntimeError):
        binary_cross_entropy_with_logits(x, target, pos_weight=torch.rand(4, device="meta"))
    with pytest.raises(TypeError):
        binary_cross_entropy_with_logits(x, target, pos_weight=[1.0] * 4)  # type: ignore[arg-type]
    assert short == []


@LOSSES
@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_is_as_in_the_general_way(
    loss: Loss, logits: Any, labels: Any, odd: float, short: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, target = logits(torch.float32), labels(torch.float32)
    x[2, 0] = odd
    taken = _value_and_gradient(loss, x, target)
    assert short
    _the_general_way(monkeypatch)
    for ours, expected in zip(taken, _value_and_gradient(loss, x, target), strict=True):
        assert torch.equal(ours.nan_to_num(7e7), expected.nan_to_num(7e7))


def test_all_ignored_is_torchs_nan(short: list[str]) -> None:
    x = torch.randn(3, 4, requires_grad=True)
    loss = cross_entropy(x, torch.full((3,), -100))
    loss.backward()
    assert short == ["softmax_plain"]
    assert loss.isnan()


@LOSSES
def test_second_derivatives_and_second_backwards(
    loss: Loss, logits: Any, labels: Any, short: list[str]
) -> None:
    x, target = logits(torch.float64).requires_grad_(), labels(torch.float64)
    assert torch.autograd.gradgradcheck(lambda x: loss(x, target), x)
    value = loss(x, target)
    (first,) = torch.autograd.grad(value, x, retain_graph=True)
    kept = first.clone()
    (second,) = torch.autograd.grad(value, x, retain_graph=True)
    assert first.data_ptr() != second.data_ptr()
    assert torch.allclose(second, kept, rtol=1e-14, atol=0)
    value.backward()
    with pytest.raises(RuntimeError, match="second time"):
        value.backward()
    assert short


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_options_that_are_no_default_reach_every_derivative(reduction: str, short: list[str]) -> None:
    x = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0, -7, 2, 3, -7, 1])
    options: dict[str, Any] = {"ignore_index": -7, "reduction": reduction}
    value = cross_entropy(x, target, **options)
    expected = torch.nn.functional.cross_entropy(x, target, **options)
    assert torch.allclose(value, expected)
    right = torch.autograd.grad(expected, x, retain_graph=True)[0]
    for _ in range(2):  # the gradient of the forward pass, and one made anew
        assert torch.allclose(torch.autograd.grad(value, x, retain_graph=True)[0], right)
    assert torch.autograd.gradgradcheck(lambda x: cross_entropy(x, target, **options), x)
    assert short


@LOSSES
def test_logits_that_are_overwritten_before_a_second_backward(
    loss: Loss, logits: Any, labels: Any, short: list[str]
) -> None:
    x = logits(torch.float32).requires_grad_().clone()
    value = loss(x, labels(torch.float32))
    value.backward(retain_graph=True)
    x.detach().zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()
    assert short


class Ops(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(str(op))
        return op(*args, **(kwargs or {}))


@LOSSES
@pytest.mark.parametrize("grad", [True, False])
def test_a_dispatch_mode_sees_the_op(loss: Loss, logits: Any, labels: Any, grad: bool) -> None:
    with Ops() as ops:
        loss(logits(torch.float32).requires_grad_(grad), labels(torch.float32))
    assert [op for op in ops.seen if op.startswith("likelihead")]


@LOSSES
@pytest.mark.parametrize("grad", [True, False])
def test_what_the_dispatcher_resolves(loss: Loss, logits: Any, labels: Any, grad: bool) -> None:
    x, target = logits(torch.float32), labels(torch.float32)
    expected = loss(x, target)
    negated = torch._neg_view(-x).detach().requires_grad_(grad)
    assert negated.is_neg()
    assert torch.equal(loss(negated, target), expected)
    assert torch.equal(loss(x, torch._neg_view(-target)), expected)
    nothing = torch._efficientzerotensor(x.shape)
    assert torch.allclose(loss(nothing, target), loss(torch.zeros_like(x), target))


@LOSSES
def test_the_gradient_is_given_away_not_copied(
    loss: Loss, logits: Any, labels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likelihead.kernels.native import plain

    made: list[int] = []
    for name in ("_softmax", "_sigmoid"):
        op = getattr(plain, name)

        def watched(*arguments: Any, op: Any = op) -> Any:
            outcome = op(*arguments)
            made.append(outcome[1].data_ptr())
            return outcome

        monkeypatch.setattr(plain, name, watched)
    x = logits(torch.float32).requires_grad_()
    loss(x, labels(torch.float32)).backward()
    assert x.grad is not None
    assert [x.grad.data_ptr()] == made


@LOSSES
def test_transforms_and_other_derivatives_go_the_general_way(
    loss: Loss, logits: Any, labels: Any, short: list[str]
) -> None:
    x, target = logits(torch.float64), labels(torch.float64)
    expected = torch.autograd.functional.jacobian(lambda x: loss(x, target), x)
    short.clear()
    assert torch.allclose(torch.func.grad(loss)(x, target), expected)
    _, tangent = torch.func.jvp(lambda x: loss(x, target), (x,), (torch.ones_like(x),))
    assert torch.allclose(tangent, expected.sum())
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
        assert torch.autograd.forward_ad.unpack_dual(loss(dual, target)).tangent is not None
    assert short == []


def test_a_target_that_is_differentiated_goes_the_general_way(short: list[str]) -> None:
    x, target = torch.randn(4, requires_grad=True), torch.rand(4, requires_grad=True)
    binary_cross_entropy_with_logits(x, target).backward()
    assert target.grad is not None
    assert torch.allclose(target.grad, -x.detach() / 4)
    assert short == []


def _transposed(x: Tensor) -> Tensor:
    return x.t().contiguous().t()


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda x, y: (x, y), {"reduction": "none"}),
        (lambda x, y: (x, y), {"label_smoothing": 0.1}),
        (lambda x, y: (x, y), {"weight": torch.ones(4)}),
        (lambda x, y: (x, y), {"normalizer": 3}),
        (lambda x, y: (x, y), {"z_loss": 1e-3}),
        (lambda x, y: (x, y), {"softcap": 30.0}),
        (lambda x, y: (x, y), {"logit_offset": torch.zeros(4)}),
        (lambda x, y: (x, y), {"inplace_backward": True}),
        (lambda x, y: (x, y), {"ignore_index": 1}),
        (lambda x, y: (x, y.int()), {}),
        (lambda x, y: (x, torch.softmax(x, 1)), {}),
        (lambda x, y: (x.half(), y), {}),
        (lambda x, y: (_transposed(x), y), {}),
        (lambda x, y: (x[0], y[0]), {}),
        (lambda x, y: (x.expand(2, 6, 4).permute(0, 2, 1), y.expand(2, 6)), {}),
        (lambda x, y: (x.as_subclass(Subclass), y), {}),
        (lambda x, y: (x, y.as_subclass(Subclass)), {}),
    ],
)
def test_other_calls_go_the_general_way(change: Any, options: dict[str, Any], short: list[str]) -> None:
    x, target = change(torch.randn(6, 4), torch.arange(6) % 4)
    assert cross_entropy(x, target, **options).isfinite().all()
    assert short == []


def test_the_guard_still_looks(short: list[str]) -> None:
    x, target = torch.randn(6, 4, requires_grad=True), torch.arange(6) % 4
    with guard(action="raise"):
        with pytest.raises(LikelihoodError, match="LH101"):
            cross_entropy(x.softmax(1), target)
        with pytest.raises(LikelihoodError, match="LH106"):
            binary_cross_entropy_with_logits(x.sigmoid(), torch.rand(6, 4))
        cross_entropy(x * 2, target)
    assert short == ["softmax_plain"]
    with guard("full"):
        cross_entropy(x, target)
    assert short == ["softmax_plain"]
    with guard("off"):
        cross_entropy(x.softmax(1), target)
    assert len(short) == 2


def test_the_backend_that_is_asked_for_serves(short: list[str]) -> None:
    x, target = torch.randn(6, 4), torch.arange(6) % 4
    with use_backend("reference"):
        cross_entropy(x, target)
        assert short == []
    with use_backend("native"):
        cross_entropy(x, target)
    assert short == ["softmax_plain"]


@pytest.mark.parametrize("outside", [4, -1, 2**40])
def test_an_index_out_of_range(outside: int) -> None:
    target = torch.tensor([0, outside, 2])
    with pytest.raises(IndexError, match=rf"target\[1\] is {outside}"):
        cross_entropy(torch.randn(3, 4, requires_grad=True), target)


@pytest.mark.parametrize("with_grad", [True, False])
def test_the_ops_say_what_they_do_not_take(with_grad: bool) -> None:
    ops = torch.ops.likelihead
    x, y, t = torch.randn(6, 4), torch.arange(6) % 4, torch.rand(6, 4)
    wrong: list[tuple[Tensor, Tensor]] = [
        (x.half(), y), (x, y.int()), (_transposed(x), y), (x, y[:5]), (x[0], y[0]), (x[:0], y[:0]),
        (torch.zeros(6, 1), y * 0), (x, torch.arange(12)[::2]), (x.view(3, 4, 2), y), (x.view(2, 3, 2, 2), y),
        (x.view(3, 4, 2), y.view(2, 3)),
    ]  # fmt: skip
    for logits, target in wrong:
        assert [made.shape for made in ops.softmax_plain(logits, target, -100, True, with_grad)] == [(0,)] * 2
    for logits, target in [
        (x.half(), t.half()),
        (x, t.double()),
        (_transposed(x), t),
        (x, t[:5]),
        (x, t.view(4, 6)),
        (x, t.view(24)),
        (x[:0], t[:0]),
    ]:
        assert [made.shape for made in ops.sigmoid_plain(logits, target, True, with_grad)] == [(0,)] * 2
    for weight in (torch.rand(3), torch.rand(6, 4), torch.rand(1, 1), torch.rand(4).double(), torch.rand(0)):
        assert [made.shape for made in ops.sigmoid_plain(x, t, True, with_grad, weight)] == [(0,)] * 2


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 2, 8, 8), (3, 21, 5, 7), (2, 5, 33, 65, 31), (16384, 5)])
@pytest.mark.parametrize("dtype", WIDE)
def test_pixels_and_large_tensors_have_the_bits_of_the_general_way(
    shape: tuple[int, ...], dtype: torch.dtype, short: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.randn(shape, dtype=dtype) * 5
    target = torch.randint(shape[1], (shape[0], *shape[2:]))
    target.view(-1)[::3] = -100
    labels = torch.rand(shape, dtype=dtype)
    taken = _value_and_gradient(cross_entropy, x, target)
    binary = _value_and_gradient(binary_cross_entropy_with_logits, x, labels)
    assert short == ["softmax_plain", "sigmoid_plain"]
    _the_general_way(monkeypatch)
    assert all(map(torch.equal, taken, _value_and_gradient(cross_entropy, x, target)))
    assert all(map(torch.equal, binary, _value_and_gradient(binary_cross_entropy_with_logits, x, labels)))


def _nested(t: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, that they are a prototype
        return torch.nested.nested_tensor(list(t))


def _packed(t: Tensor) -> Tensor:
    return t.to_mkldnn() if t.is_floating_point() else t.to_sparse()


@pytest.mark.parametrize("spoiled", [lambda t: t.to_sparse(), lambda t: t.to("meta"), _nested, _packed])
@pytest.mark.parametrize("which", [0, 1])
def test_what_no_kernel_takes_is_refused_as_in_the_general_way(
    spoiled: Callable[[Tensor], Tensor], which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for loss, *arguments in (
        (cross_entropy, torch.randn(6, 4), torch.arange(6) % 4),
        (binary_cross_entropy_with_logits, torch.randn(6, 4), torch.rand(6, 4)),
    ):
        arguments[which] = spoiled(arguments[which])
        with pytest.raises(RuntimeError) as taken:
            loss(*arguments)
        with monkeypatch.context() as patched:
            _the_general_way(patched)
            with pytest.raises(RuntimeError) as expected:
                loss(*arguments)
        assert (taken.type, str(taken.value)) == (expected.type, str(expected.value))


@pytest.mark.parametrize("with_grad", [True, False])
def test_the_ops_keep_torchs_rules(with_grad: bool) -> None:
    x, y, t = torch.randn(6, 4), torch.arange(6) % 4, torch.rand(6, 4)
    torch.library.opcheck(torch.ops.likelihead.softmax_plain.default, (x, y, -100, True, with_grad))
    torch.library.opcheck(torch.ops.likelihead.sigmoid_plain.default, (x, t, False, with_grad))
    torch.library.opcheck(torch.ops.likelihead.sigmoid_plain.default, (x, t, True, with_grad, torch.rand(4)))


@LOSSES
def test_it_compiles(loss: Loss, logits: Any, labels: Any) -> None:
    x, target = logits(torch.float32).requires_grad_(), labels(torch.float32)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(x, target), loss(x, target))
