"""The table of ways to call a loss times losses: torch's answer in each, or a clear refusal."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as torchs
from torch import Tensor
from torch.autograd import forward_ad

from likelihead import functional as ours
from likelihead import nn
from likelihead.kernels.dispatch import use_backend
from likelihead.likelihoods import Bernoulli, Categorical, Gaussian, MultiLabel, binary_focal_loss, focal_loss
from served_here import AUTO_AND_OTHERS, FUSED

Loss = Callable[[Tensor], Tensor]
N, C = 4, 3


_G = torch.Generator().manual_seed(11)
X = torch.randn(N, C, generator=_G, dtype=torch.float64)
P = torch.rand(N, C, generator=_G, dtype=torch.float64) * 0.8 + 0.1
Y = torch.tensor([0, 2, -100, 1])
SOFT = torch.rand(N, C, generator=_G, dtype=torch.float64)
W = torch.rand(C, generator=_G, dtype=torch.float64) + 0.5
EACH = torch.tensor([0.5, 0.0, 3.0, 1.5], dtype=torch.float64)
CAN = torch.tensor([[True, True, False], [False, True, True], [True] * 3, [True, True, False]])


def _focal(x: Tensor) -> Tensor:
    nll = torchs.cross_entropy(x, Y, reduction="none")
    return ((1 - (-nll).exp()) ** 2 * nll).sum() / 3


def _binary_focal(x: Tensor) -> Tensor:
    t, p = SOFT.round(), x.sigmoid()
    miss = t * (1 - p) + (1 - t) * p
    return (miss**2 * torchs.binary_cross_entropy_with_logits(x, t, reduction="none")).mean()


def _masked(x: Tensor) -> Tensor:
    return torch.where(CAN, x, -1e4)  # whose exponential is 0, without the NaN that -inf has as a gradient


def _weighted(x: Tensor, **options: Any) -> Tensor:
    nll = torchs.cross_entropy(x, Y, W, reduction="none", **options)
    return (EACH * nll).sum() / (EACH * W[Y.clamp(min=0)] * (Y >= 0)).sum()


def _weighted_labels(x: Tensor) -> Tensor:
    drawn = 0.8 * SOFT + 0.2 * W / 2
    nll = torchs.binary_cross_entropy_with_logits(x, drawn, pos_weight=W, reduction="none")
    return (EACH[:, None] * nll).sum() / (EACH.sum() * C)


def _weighted_focal(x: Tensor) -> Tensor:
    nll = torchs.cross_entropy(_masked(x), Y, reduction="none")
    return (EACH * (1 - (-nll).exp()) ** 1.5 * nll).sum() / (EACH * (Y >= 0)).sum()


def _multi_label(x: Tensor) -> Tensor:
    return torchs.binary_cross_entropy_with_logits(x, SOFT.round(), reduction="none").mean()


MULTI_LABEL = MultiLabel(C)

# Name: where it is called, what we compute there, and the same by torch.
LOSSES: dict[str, tuple[Tensor, Loss, Loss]] = {
    "cross_entropy": (
        X, lambda x: ours.cross_entropy(x, Y), lambda x: torchs.cross_entropy(x, Y)
    ),
    "cross_entropy, options": (
        X,
        lambda x: ours.cross_entropy(x, Y, W, label_smoothing=0.1),
        lambda x: torchs.cross_entropy(x, Y, W, label_smoothing=0.1),
    ),
    "cross_entropy, probabilities": (
        X, lambda x: ours.cross_entropy(x, SOFT), lambda x: torchs.cross_entropy(x, SOFT)
    ),
    "cross_entropy, none": (
        X,
        lambda x: ours.cross_entropy(x, Y, reduction="none").square().sum(),
        lambda x: torchs.cross_entropy(x, Y, reduction="none").square().sum(),
    ),
    "cross_entropy, where": (
        X,
        lambda x: ours.cross_entropy(x, Y, where=CAN),
        lambda x: torchs.cross_entropy(_masked(x), Y),
    ),
    "cross_entropy, sample_weight": (
        X, lambda x: ours.cross_entropy(x, Y, W, label_smoothing=0.1, sample_weight=EACH),
        lambda x: _weighted(x, label_smoothing=0.1),
    ),
    "binary_cross_entropy_with_logits, smoothed": (
        X,
        lambda x: ours.binary_cross_entropy_with_logits(
            x, SOFT, pos_weight=W, label_smoothing=0.2, prior=W / 2, sample_weight=EACH
        ),
        _weighted_labels,
    ),
    "functional.focal_loss": (
        X, lambda x: ours.focal_loss(x, Y, 1.5, where=CAN, sample_weight=EACH), _weighted_focal
    ),
    "functional.binary_focal_loss": (X, lambda x: ours.binary_focal_loss(x, SOFT.round()), _binary_focal),
    "language_model_loss": (
        X,
        lambda x: ours.language_model_loss(x[None], Y[None], shift=True),
        lambda x: torchs.cross_entropy(x[:-1], Y[1:]),
    ),
    "binary_cross_entropy_with_logits": (
        X,
        lambda x: ours.binary_cross_entropy_with_logits(x, SOFT),
        lambda x: torchs.binary_cross_entropy_with_logits(x, SOFT),
    ),
    "binary_cross_entropy_with_logits, pos_weight": (
        X,
        lambda x: ours.binary_cross_entropy_with_logits(x, SOFT, W, pos_weight=W),
        lambda x: torchs.binary_cross_entropy_with_logits(x, SOFT, W, pos_weight=W),
    ),
    "binary_cross_entropy_with_logits, none": (
        X,
        lambda x: ours.binary_cross_entropy_with_logits(x, SOFT, reduction="none").square().sum(),
        lambda x: torchs.binary_cross_entropy_with_logits(x, SOFT, reduction="none").square().sum(),
    ),
    "binary_cross_entropy": (
        P, lambda x: ours.binary_cross_entropy(x, SOFT, W), lambda x: torchs.binary_cross_entropy(x, SOFT, W)
    ),
    "multilabel_soft_margin_loss": (
        X,
        lambda x: ours.multilabel_soft_margin_loss(x, SOFT),
        lambda x: torchs.multilabel_soft_margin_loss(x, SOFT),
    ),
    "nll_loss": (P.log(), lambda x: ours.nll_loss(x, Y, W), lambda x: torchs.nll_loss(x, Y, W)),
    "mse_loss": (X, lambda x: ours.mse_loss(x, SOFT), lambda x: torchs.mse_loss(x, SOFT)),
    "gaussian_nll_loss": (
        P,
        lambda x: ours.gaussian_nll_loss(x, SOFT, x + 1),
        lambda x: torchs.gaussian_nll_loss(x, SOFT, x + 1),
    ),
    "focal_loss": (X, lambda x: focal_loss(x, Y), _focal),
    "binary_focal_loss": (X, lambda x: binary_focal_loss(x, SOFT.round()), _binary_focal),
    "nn.CrossEntropyLoss": (
        X, lambda x: nn.CrossEntropyLoss(W)(x, Y), lambda x: torchs.cross_entropy(x, Y, W)
    ),
    "nn.BCEWithLogitsLoss": (
        X,
        lambda x: nn.BCEWithLogitsLoss(pos_weight=W)(x, SOFT),
        lambda x: torchs.binary_cross_entropy_with_logits(x, SOFT, pos_weight=W),
    ),
    "Categorical": (X, lambda x: Categorical(C)(x, Y), lambda x: torchs.cross_entropy(x, Y)),
    "MultiLabel": (X, lambda x: MULTI_LABEL(x, SOFT.round()), _multi_label),
    "Bernoulli": (
        X,
        lambda x: Bernoulli()(x, SOFT.round()),
        lambda x: torchs.binary_cross_entropy_with_logits(x, SOFT.round()),
    ),
    "Gaussian": (
        X,
        lambda x: Gaussian(num_outputs=C)(x, SOFT) * 1.0,
        lambda x: torchs.gaussian_nll_loss(x, SOFT, torch.ones_like(x), full=True),
    ),
}  # fmt: skip


def _leaf(x: Tensor) -> Tensor:
    return x.clone().requires_grad_()


def _batched(f: Loss, x: Tensor, **options: Any) -> Tensor:
    x = _leaf(x)
    upstream = torch.tensor([1.0, -2.0, 0.3], dtype=x.dtype)
    return torch.autograd.grad(f(x), x, upstream, is_grads_batched=True, **options)[0]


def _batched_later(f: Loss, x: Tensor) -> Tensor:
    x = _leaf(x)
    loss = f(x)
    torch.autograd.grad(loss, x, retain_graph=True)
    return torch.autograd.grad(loss, x, torch.tensor([1.0, 2.0], dtype=x.dtype), is_grads_batched=True)[0]


def _forward(f: Loss, x: Tensor) -> Tensor:
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(f(forward_ad.make_dual(x, torch.ones_like(x)))).tangent


def _forward_over_reverse(f: Loss, x: Tensor) -> Tensor:
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(_leaf(x), torch.ones_like(x))
        (grad,) = torch.autograd.grad(f(dual), dual, create_graph=True)
        tangent = forward_ad.unpack_dual(grad).tangent
        return torch.zeros_like(x) if tangent is None else tangent  # None: linear in x


def _reverse_over_forward(f: Loss, x: Tensor) -> Tensor:
    x = _leaf(x)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(f(forward_ad.make_dual(x, torch.ones_like(x)))).tangent
        if not tangent.requires_grad:  # linear in x
            return torch.zeros_like(x)
        (grad,) = torch.autograd.grad(tangent, x, allow_unused=True)
    return torch.zeros_like(x) if grad is None else grad


def _pair(f: Loss) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.stack([f(x), f(x * 0.9)])


def _compiled(f: Loss, x: Tensor) -> Tensor:
    torch._dynamo.reset()
    x = _leaf(x)
    (grad,) = torch.autograd.grad(torch.compile(f, fullgraph=True, backend="aot_eager")(x), x)
    return grad


F, J = torch.func, torch.autograd.functional
WAYS: dict[str, Callable[[Loss, Tensor], Tensor]] = {
    "the value": lambda f, x: f(x),
    "the value, without a graph": lambda f, x: torch.no_grad()(f)(_leaf(x)),
    "backward": lambda f, x: torch.autograd.grad(f(y := _leaf(x)), y)[0],
    "an upstream gradient": lambda f, x: torch.autograd.grad(-3 * f(y := _leaf(x)), y)[0],
    "is_grads_batched": _batched,
    "is_grads_batched, with a graph": lambda f, x: _batched(f, x, create_graph=True),
    "is_grads_batched, the second time": _batched_later,
    "jacobian": lambda f, x: J.jacobian(_pair(f), x),
    "jacobian, vectorized": lambda f, x: J.jacobian(_pair(f), x, vectorize=True),
    "jacobian, forward": lambda f, x: J.jacobian(_pair(f), x, vectorize=True, strategy="forward-mode"),
    "hessian": lambda f, x: J.hessian(f, x),
    "hessian, vectorized": lambda f, x: J.hessian(f, x, vectorize=True),
    "hessian, forward": lambda f, x: J.hessian(
        f, x, vectorize=True, outer_jacobian_strategy="forward-mode"
    ),
    "hvp": lambda f, x: J.hvp(f, x, torch.ones_like(x))[1],
    "func.grad": lambda f, x: F.grad(f)(x),
    "func.hessian": lambda f, x: F.hessian(f)(x),
    "func.jacrev of jacrev": lambda f, x: F.jacrev(F.jacrev(f))(x),
    "func.jacrev of jacfwd": lambda f, x: F.jacrev(F.jacfwd(f))(x),
    "func.vjp": lambda f, x: F.vjp(f, x)[1](torch.tensor(2.0, dtype=x.dtype))[0],
    "func.vmap": lambda f, x: F.vmap(f)(torch.stack([x, 0.9 * x])),
    "func.vmap of grad": lambda f, x: F.vmap(F.grad(f))(torch.stack([x, 0.9 * x])),
    "forward mode": _forward,
    "forward over reverse": _forward_over_reverse,
    "reverse over forward": _reverse_over_forward,
    "compiled": _compiled,
    "jit.trace": lambda f, x: torch.jit.trace(f, x, check_trace=False)(x * 0.9),
    "a Parameter": lambda f, x: torch.autograd.grad(f(p := torch.nn.Parameter(x.clone())), p)[0],
    "a negated view": lambda f, x: f(torch._neg_view(-x)),
    "other strides": lambda f, x: f(x.t().contiguous().t()),
}  # fmt: skip
# The same numbers on a way that torch's own losses know: its softmax and its elementwise losses have no
# reverse over forward, its Gaussian no vmap.
INSTEAD: dict[str, Callable[[Loss, Tensor], Tensor]] = {
    "jit.trace": lambda f, x: f(x * 0.9),
    "compiled": WAYS["backward"],
    "forward mode": lambda f, x: WAYS["backward"](f, x).sum(),
    "forward over reverse": WAYS["hvp"],
    "reverse over forward": WAYS["hvp"],
    "func.grad": WAYS["backward"],
    "func.vjp": lambda f, x: 2 * WAYS["backward"](f, x),
    "func.vmap": lambda f, x: torch.stack([f(x), f(0.9 * x)]),
    "func.vmap of grad": lambda f, x: torch.stack([WAYS["backward"](f, x), WAYS["backward"](f, 0.9 * x)]),
    **{way: WAYS["hessian"] for way in WAYS if "hessian" in way or "func.jac" in way},
    **{way: WAYS["jacobian"] for way in WAYS if "jacobian" in way},
}
# Once is enough: the compiler and the recorder see the same calls on every backend.
SLOW = ("compiled", "jit.trace")


@pytest.fixture(autouse=True)
def _without_warnings() -> Iterator[None]:
    """Of torch.jit, which is deprecated, and of traces; the guard's have tests of their own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _message_of(call: Callable[[Loss, Tensor], Tensor], loss: Loss, x: Tensor) -> str:
    try:
        call(loss, x)
    except Exception as error:
        return str(error)
    return ""


@pytest.mark.parametrize("backend", AUTO_AND_OTHERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_way_gives_torchs_answer(loss: str, backend: str) -> None:
    x, our_loss, torchs_loss = LOSSES[loss]
    wrong = []
    for way, call in WAYS.items():
        if way in SLOW and backend != "auto":
            continue
        want = INSTEAD.get(way, call)(torchs_loss, x)
        with use_backend(backend):
            try:
                got = call(our_loss, x)
            except Exception as error:
                # torch before 2.13 cannot trace its own binary_cross_entropy with a weight, which we call
                if way == "jit.trace" and str(error) == _message_of(call, torchs_loss, x):
                    continue
                wrong.append(f"{way}: {type(error).__name__}: {error}")
                continue
        if not isinstance(got, Tensor) or got.shape != want.shape:
            wrong.append(f"{way}: {got}")
        elif not torch.allclose(got, want, rtol=1e-6, atol=1e-7):
            wrong.append(f"{way}: off by {float((got - want).abs().max()):.2g}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_second_forward_derivative(loss: str) -> None:
    # Beside the hessian: torch's own jacfwd of jacfwd fails for some losses.
    x, our_loss, torchs_loss = LOSSES[loss]
    try:
        got = F.jacfwd(F.jacfwd(our_loss))(x)
    except RuntimeError:  # a primitive of torch's that has none
        assert loss == "binary_cross_entropy"
        return
    torch.testing.assert_close(got, J.hessian(torchs_loss, x), rtol=1e-6, atol=1e-7)


def test_the_table_can_fail() -> None:
    wrong: Loss = lambda x: ours.cross_entropy(x, Y) + 1e-3 * x.sum()  # noqa: E731
    for call in (WAYS["backward"], WAYS["is_grads_batched"], WAYS["compiled"]):
        assert not torch.allclose(call(wrong, X), call(LOSSES["cross_entropy"][2], X), rtol=1e-6, atol=1e-7)


PAIRS: dict[str, Callable[[Any, Any], Any]] = {
    "cross_entropy": lambda a, b: ours.cross_entropy(a, b),
    "language_model_loss": lambda a, b: ours.language_model_loss(a, b, shift=False),
    "nll_loss": lambda a, b: ours.nll_loss(a, b),
    "binary_cross_entropy_with_logits": lambda a, b: ours.binary_cross_entropy_with_logits(a, b),
    "binary_cross_entropy": lambda a, b: ours.binary_cross_entropy(a, b),
    "multilabel_soft_margin_loss": lambda a, b: ours.multilabel_soft_margin_loss(a, b),
    "mse_loss": lambda a, b: ours.mse_loss(a, b),
    "gaussian_nll_loss": lambda a, b: ours.gaussian_nll_loss(a, b, 1.0),
}
INDICES = ("cross_entropy", "language_model_loss", "nll_loss")


@pytest.mark.parametrize("name", PAIRS)
def test_a_symbolic_trace_records_our_function(name: str) -> None:
    traced = torch.fx.symbolic_trace(PAIRS[name])
    called = [node.target for node in traced.graph.nodes if node.op == "call_function"]
    assert called == [getattr(ours, name)]
    target = Y if name in INDICES else SOFT
    assert torch.equal(traced(P, target), PAIRS[name](P, target))


@pytest.mark.parametrize("loss", [Categorical(C), MultiLabel(C), Bernoulli(), Gaussian(num_outputs=C)])
def test_a_likelihood_is_traced_to_ours_or_refused(loss: torch.nn.Module) -> None:
    with pytest.raises((torch.fx.proxy.TraceError, TypeError), match=r"traced|Proxy"):
        torch.fx.symbolic_trace(loss)


@pytest.mark.parametrize("name", [*PAIRS, "focal"])
def test_torch_script_is_refused(name: str) -> None:
    function = focal_loss if name == "focal" else getattr(ours, name)
    refusals = (RuntimeError, SyntaxError, ValueError, torch.jit.frontend.NotSupportedError)
    with pytest.raises(refusals, match=r"\S"):  # torch has one for each reason
        torch.jit.script(function)


@pytest.mark.skipif(not FUSED, reason="needs the kernels")
@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy_with_logits"])
@pytest.mark.parametrize("gradient", [False, True])
def test_a_recorded_trace_holds_our_op_and_serves_other_sizes(name: str, gradient: bool) -> None:
    target = Y if name in INDICES else SOFT
    x = X.clone().requires_grad_(gradient)
    traced = torch.jit.trace(PAIRS[name], (x, target), check_trace=False)
    assert "likelihead::s" in str(traced.inlined_graph)
    copies = 100 if "triton" in FUSED else 5000  # in the interpreter
    larger = (torch.cat([X] * copies), torch.cat([target] * copies))
    torch.testing.assert_close(traced(*larger), PAIRS[name](*larger))
    torch.testing.assert_close(traced(X.t().contiguous().t(), target), PAIRS[name](X, target))


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "sparse": lambda t: t.to_sparse(),
    "sparse rows": lambda t: t.to_sparse_csr(),
    "mkldnn": lambda t: t.float().to_mkldnn(),
    "nested": lambda t: torch.nested.nested_tensor([t[:1], t[1:]]),
    "jagged": lambda t: torch.nested.nested_tensor([t[:1], t[1:]], layout=torch.jagged),
    "complex": lambda t: t.to(torch.complex128),
    "quantized": lambda t: torch.quantize_per_tensor(t.float(), 0.1, 0, torch.quint8),
    "real part of a conjugate": lambda t: torch.complex(t, t).conj().real,
    "bool": lambda t: t > 0.5,
}


def _outcome(call: Callable[[], Tensor]) -> Tensor | Exception:
    try:
        found = call()
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        return error
    return found.to_dense() if found.is_mkldnn or found.layout is not torch.strided else found


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", [n for n in PAIRS if n != "language_model_loss"])
@pytest.mark.parametrize("which", ["input", "target", "both"])
def test_other_kinds_of_tensors_have_torchs_answer(name: str, layout: str, which: str) -> None:
    make = LAYOUTS[layout]
    input, target = P, SOFT if name != "nll_loss" else Y
    if which != "target":
        input = make(input)
    if which != "input" and target.dim() == 2:
        target = make(target)
    options = (1.0,) if name == "gaussian_nll_loss" else ()
    want = _outcome(lambda: getattr(torchs, name)(input, target, *options))
    got = _outcome(lambda: PAIRS[name](input, target))
    if isinstance(want, Exception):
        # Sparse real numbers we may take where torch has no kernel; all else is refused by both.
        assert isinstance(got, Exception) or layout in ("sparse", "sparse rows")
    else:
        assert isinstance(got, Tensor), got
        torch.testing.assert_close(got, want, check_dtype=False, equal_nan=True)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2), (2, 3, 0), (0, 0), (2, 0)])
def test_nothing_at_all(name: str, reduction: str, shape: tuple[int, ...]) -> None:
    of_classes = name in INDICES
    x, target = torch.ones(shape), torch.ones(shape)
    if of_classes:
        target = torch.zeros((shape[0], *shape[2:]), dtype=torch.int64)
    if name == "language_model_loss":
        moved = x.movedim(1, -1)
        want = _outcome(lambda: torchs.cross_entropy(x, target, reduction=reduction))
        got = _outcome(lambda: ours.language_model_loss(moved, target, shift=False, reduction=reduction))
    else:
        options = {"var": 1.0} if name == "gaussian_nll_loss" else {}
        want = _outcome(lambda: getattr(torchs, name)(x, target, reduction=reduction, **options))
        got = _outcome(lambda: getattr(ours, name)(x, target, reduction=reduction, **options))
    if isinstance(want, Exception):
        assert isinstance(got, Exception)
    else:
        assert isinstance(got, Tensor), got
        assert torch.equal(got.nan_to_num(-1), want.nan_to_num(-1))
