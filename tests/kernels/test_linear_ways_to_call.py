"""How a head and its softmax are differentiated and called: again, twice, batched, compiled, checkpointed."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

from likelihead.kernels import dispatch
from likelihead.kernels.dispatch import use_backend
from no_waiting import no_waiting

Y = torch.tensor([0, 1, -100, 3, 4, 2])
G = torch.Generator().manual_seed(3)
X, W, B = (torch.randn(s, generator=G, dtype=torch.float64) for s in ((6, 4), (5, 4), (5,)))
EACH, OFFSET = torch.rand(6, generator=G), torch.randn(5, generator=G)


def _mean(x: Tensor, w: Tensor, b: Tensor, target: Tensor = Y, **options: Any) -> Tensor:
    return dispatch.linear_softmax_loss(
        x, w, target, b, label_smoothing=0.1, chunk_tokens=2, logit_scale=0.8, **options
    )


def _rows(x: Tensor, w: Tensor, b: Tensor, target: Tensor = Y, **options: Any) -> Tensor:
    nll, lse, entropy, log_prob, predicted = dispatch.linear_softmax_nll(
        x,
        w,
        target,
        b,
        entropy=True,
        log_prob=not target.is_floating_point(),
        prediction=True,
        z_loss=0.1,
        softcap=3.0,
        chunk_tokens=4,
        **options,
    )
    assert not predicted.requires_grad
    value = nll.sum() + 0.3 * lse[:3].sum() + 0.7 * entropy[1:].square().sum()
    return value if log_prob is None else value + 0.2 * log_prob[:4].sum()


LOSSES = pytest.mark.parametrize("loss", [_mean, _rows])


def _leaves(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    return [t.to(dtype).detach().clone().requires_grad_() for t in (X, W, B)]


def _slopes(loss: Callable[..., Tensor], scale: float = 0.5) -> tuple[Tensor, ...]:
    leaves = _leaves()
    value = loss(*leaves)
    return (value.detach(), *torch.autograd.grad(value * scale, leaves))


@LOSSES
@pytest.mark.usefixtures("fast")
def test_again_and_again(loss: Callable[..., Tensor]) -> None:
    leaves = _leaves()
    value = loss(*leaves)
    first = torch.autograd.grad(value * 3, leaves, retain_graph=True)
    kept = [g.clone() for g in first]
    for g in first:
        g.mul_(7)  # the caller owns them
    assert_close(list(torch.autograd.grad(value, leaves, torch.tensor(3.0, dtype=X.dtype), True)), kept)
    assert_close([g * -3 for g in torch.autograd.grad(-value, leaves)], kept)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(value, leaves)


@LOSSES
@pytest.mark.usefixtures("fast")
def test_derivatives_of_any_order(loss: Callable[..., Tensor]) -> None:
    small = (X[:3, :2], W[:4, :2], B[:4])

    def of(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return loss(x, w, b, Y[[1, 2, 3]])

    leaves = [t.clone().requires_grad_() for t in small]
    assert torch.autograd.gradcheck(of, leaves, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(of, leaves)
    hessian = torch.func.hessian(of, argnums=(0, 1, 2))(*small)
    assert_close(hessian, torch.autograd.functional.hessian(of, small))


@LOSSES
@pytest.mark.usefixtures("fast")
def test_transforms(loss: Callable[..., Tensor]) -> None:
    value, *slopes = _slopes(loss, 1.0)
    assert_close(list(torch.func.grad(loss, argnums=(0, 1, 2))(X, W, B)), slopes)
    two = torch.stack([X, -X])
    assert_close(torch.vmap(loss, (0, None, None))(two, W, B), torch.stack([loss(x, W, B) for x in two]))
    assert_close(torch.vmap(torch.func.grad(loss), (0, None, None))(two, W, B)[0], slopes[0])
    ones = tuple(map(torch.ones_like, (X, W, B)))
    primal, tangent = torch.func.jvp(loss, (X, W, B), ones)
    assert_close(primal, value)
    assert_close(tangent, sum(s.sum() for s in slopes))


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("reduced", [False, True])
def test_several_upstream_gradients_at_once(reduced: bool) -> None:
    leaves = _leaves()
    values = _mean(*leaves) if reduced else dispatch.linear_softmax_nll(*leaves[:2], Y, leaves[2])[0]
    ups = torch.randn(3, *values.shape, dtype=X.dtype)
    batched = torch.autograd.grad(values, leaves, ups, is_grads_batched=True, retain_graph=True)
    for k, up in enumerate(ups):
        alone = torch.autograd.grad(values, leaves, up, retain_graph=True)
        assert_close([g[k] for g in batched], list(alone))


@pytest.mark.parametrize("named", ["weight", "logit_offset", "sample_weight", "target", "normalizer"])
def test_derivatives_by_other_arguments(named: str, fast: str) -> None:
    found = []
    for backend in (fast, "reference"):
        options = {"weight": OFFSET.exp(), "logit_offset": OFFSET, "sample_weight": EACH}
        given = {"target": (X @ W.T).softmax(1), "normalizer": torch.tensor(2.5), **options}
        given = {name: of.double().clone() for name, of in given.items()}
        by = given[named].requires_grad_()
        leaves = _leaves()
        with use_backend(backend):
            loss = _mean(*leaves, **given)
            slopes = [*torch.autograd.grad(loss, (*leaves, by))]
            if named != "normalizer":
                del given["normalizer"]
                slopes += torch.autograd.grad(_rows(*leaves, **given), (*leaves, by))
        found.append(slopes)
    assert_close(*found)
    assert found[0][3].any()


@LOSSES
@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("dynamic", [False, True])
def test_one_graph_under_the_compiler(loss: Callable[..., Tensor], dynamic: bool) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for got, expected in zip(_slopes(compiled), _slopes(loss), strict=True):
        assert_close(got, expected)
    if dynamic:
        x, target = torch.randn(9, 4, dtype=X.dtype), torch.arange(9) % 5
        more = {} if loss is _rows else {"normalizer": torch.tensor(3.0)}
        assert_close(compiled(x, W, B, target, **more), loss(x, W, B, target, **more))


@pytest.mark.usefixtures("fast")
def test_float16_does_not_underflow_under_the_compiler() -> None:
    torch._dynamo.reset()

    def loss(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return _mean(x, w, b, normalizer=2.0**20)

    leaves = _leaves(torch.float16)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    got = torch.autograd.grad(compiled(*leaves) * 2**20, leaves)
    assert_close(list(got), list(torch.autograd.grad(loss(*leaves) * 2**20, leaves)))
    assert got[0].any()


@LOSSES
@pytest.mark.usefixtures("fast")
def test_it_is_exported_and_traced(loss: Callable[..., Tensor]) -> None:
    class Model(torch.nn.Module):
        def forward(self, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
            return loss(x, w, b)

    exported = torch.export.export(Model(), (X, W, B)).module()
    assert_close(exported(X, W, B), loss(X, W, B))


@LOSSES
@pytest.mark.usefixtures("fast")
@pytest.mark.filterwarnings(
    "ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning", "ignore:.torch.jit.trace.:FutureWarning"
)
def test_jit_trace_records_the_operators(loss: Callable[..., Tensor]) -> None:
    traced = torch.jit.trace(loss, (X, W, B))
    assert_close(traced(X * 2, W, B), loss(X * 2, W, B))


@pytest.mark.usefixtures("fused")
def test_the_ops_keep_torchs_rules() -> None:
    ops, (x, w, b) = torch.ops.likelihead, _leaves(torch.float32)
    backend = dispatch.explain("softmax_nll", x).backend
    options = (OFFSET.exp(), 0.1, -100, 0.01, 3.0, OFFSET, False, torch.rand(6, 5) < 0.9, 0.0, EACH)
    given = (Y, *options, 0.8, 4, None, backend)
    torch.library.opcheck(ops.linear_softmax_nll.default, (x, w, b, *given, True, True, True))
    torch.library.opcheck(ops.linear_softmax_nll.default, (x, w, None, *given, False, False, False))
    plain = (x.detach(), w.detach(), b.detach())
    up = torch.rand(6)
    torch.library.opcheck(
        ops.linear_softmax_nll_backward.default, (up, None, up, up, *plain, *given, [True, False, True])
    )
    for wanted in ([True, True, True], [False, True, False]):
        torch.library.opcheck(ops.linear_softmax_nll_loss.default, (*plain, *given, True, None, wanted))


@LOSSES
@pytest.mark.usefixtures("backend")
def test_meta_and_fake_tensors_have_shapes(loss: Callable[..., Tensor]) -> None:
    leaves = [t.to("meta").requires_grad_() for t in (X, W, B)]
    value = loss(*leaves, Y.to("meta"))
    assert (value.device.type, value.shape, value.dtype) == ("meta", (), torch.float64)
    assert [g.shape for g in torch.autograd.grad(value, leaves)] == [t.shape for t in leaves]
    with torch._subclasses.FakeTensorMode() as mode:
        leaves = [mode.from_tensor(t).requires_grad_() for t in (X, W, B)]
        value = loss(*leaves, mode.from_tensor(Y))
        assert value.shape == ()
        assert [g.shape for g in torch.autograd.grad(value, leaves)] == [t.shape for t in leaves]


@LOSSES
@pytest.mark.usefixtures("backend")
def test_under_autocast_as_a_linear_layer(loss: Callable[..., Tensor]) -> None:
    leaves = _leaves(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(*leaves)
        mixed = loss(leaves[0].bfloat16(), *leaves[1:])  # as it comes from a layer before
        inside = torch.autograd.grad(value, leaves, retain_graph=True, create_graph=True)
    got = torch.autograd.grad(value, leaves)
    plain = loss(*(t.bfloat16() for t in leaves))
    assert value.dtype == torch.float32
    assert_close(value, plain)
    assert_close(mixed, plain)
    wide = [t.detach().bfloat16().double().requires_grad_() for t in leaves]
    exact = torch.autograd.grad(loss(*wide), wide)
    for one, other, true in zip(got, inside, exact, strict=True):
        assert one.dtype == other.dtype == torch.float32
        assert_close(one.double(), true, rtol=0.03, atol=0.03)
        assert_close(other.double(), true, rtol=0.03, atol=0.03)
    wide = _leaves()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(*wide)  # float64 stays
    assert_close(value, loss(*wide))


@LOSSES
@pytest.mark.usefixtures("backend")
def test_without_gradients(loss: Callable[..., Tensor]) -> None:
    expected = loss(X, W, B)
    assert not expected.requires_grad
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            value = loss(*_leaves())
        assert not value.requires_grad
        assert_close(value.clone(), expected)


@LOSSES
@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("around", ["body", "all"])
def test_checkpoints(loss: Callable[..., Tensor], reentrant: bool, around: str) -> None:
    def body(x: Tensor) -> Tensor:
        return torch.tanh(x * 2)

    found = []
    for plain in (True, False):
        leaves = _leaves()
        if plain:
            value = loss(body(leaves[0]), *leaves[1:])
        elif around == "body":
            value = loss(checkpoint(body, leaves[0], use_reentrant=reentrant), *leaves[1:])
        else:
            value = checkpoint(lambda x, w, b: loss(body(x), w, b), *leaves, use_reentrant=reentrant)
        (value * 0.5).backward()
        found.append([value.detach(), *(t.grad for t in leaves)])
    assert_close(*found)


@LOSSES
@pytest.mark.usefixtures("fast")
def test_four_callers_at_once(loss: Callable[..., Tensor]) -> None:
    leaves = _leaves()
    expected, found = _slopes(loss)[1:], []
    value = loss(*leaves) * 0.5

    def run() -> None:
        found.append(torch.autograd.grad(value, leaves, retain_graph=True))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for got in found:
        assert_close(list(got), list(expected))


@LOSSES
@pytest.mark.usefixtures("fast")
def test_hooks_see_the_gradients(loss: Callable[..., Tensor]) -> None:
    leaves, seen = _leaves(), []
    for t in leaves:
        t.register_hook(lambda g: seen.append(g) or g * 2)
    (loss(*leaves) * 0.5).backward()
    assert len(seen) == 3
    assert_close([t.grad for t in leaves], [g * 2 for g in _slopes(loss)[1:]])


@LOSSES
@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("which", [0, 1, 2])
def test_what_changes_before_its_gradient_is_made_raises(loss: Callable[..., Tensor], which: int) -> None:
    leaves = [t * 1 for t in _leaves()]
    expected = torch.autograd.grad(loss(*leaves), leaves)
    value = loss(*leaves)
    with torch.no_grad():
        leaves[which].zero_()
    if loss is _mean:  # whose gradients are there
        assert_close(torch.autograd.grad(value, leaves, retain_graph=True), expected)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(value, leaves)


@LOSSES
@pytest.mark.usefixtures("fast")
def test_deterministic_mode_fills_nothing_in(loss: Callable[..., Tensor]) -> None:
    # torch fills what is allocated without values with NaN then: an element that is left out would show.
    expected, before = _slopes(loss), torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        for got, want in zip(_slopes(loss), expected, strict=True):
            assert torch.equal(got, want)
    finally:
        torch.use_deterministic_algorithms(before)


@LOSSES
@pytest.mark.usefixtures("fast")
def test_the_graph_is_freed(loss: Callable[..., Tensor]) -> None:
    gc.disable()
    try:
        leaves = _leaves()
        watched = [weakref.ref(t) for t in leaves]
        value = loss(*leaves)
        del leaves, value
        assert not any(ref() is not None for ref in watched)
    finally:
        gc.enable()


@LOSSES
@pytest.mark.usefixtures("fast")
def test_it_does_not_wait_for_a_device(loss: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    from likelihead.kernels.fused import linear_autograd, linear_chunks, linear_scores
    from likelihead.kernels.portable import calls, softmax_nll

    expected = _slopes(loss)
    for module in (linear_autograd, linear_chunks, linear_scores, calls, softmax_nll):
        monkeypatch.setattr(module, "looks", lambda device: False)
    leaves = _leaves()
    with no_waiting():
        value = loss(*leaves)
        for _ in range(2):
            found = torch.autograd.grad(value, leaves, torch.full_like(value, 0.5), retain_graph=True)
    assert_close([value.detach(), *found], list(expected))
